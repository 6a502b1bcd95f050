//! What files are called and how they begin, and attributes that hide something.

use crate::assert_none;
use crate::tree::{self, File};

#[test]
fn files_of_the_host_say_what_they_answer_for() {
    let missing = |file: &&File| is_host_source(&file.path) && !file.text.starts_with("//!");
    let files = tree::rust_files();
    assert!(files.iter().any(|file| is_host_source(&file.path)), "no host/<crate>/src");
    let problems: Vec<String> =
        files.iter().filter(missing).map(|file| format!("{}:1: does not begin with `//!`", file.path)).collect();
    assert_none(&problems, "say in the first line what the file answers for");
}

fn is_host_source(path: &str) -> bool {
    matches!(path.split('/').collect::<Vec<_>>()[..], ["host", _, "src", ..])
}

#[test]
fn files_have_names_that_say_something() {
    let empty = ["utils", "util", "common", "helpers", "helper", "manager", "misc"];
    let says_nothing = |file: &&File| {
        let stem = file.name().split('.').next().unwrap_or_default();
        let folders = file.path.split('/').rev().skip(1);
        std::iter::once(stem).chain(folders).any(|name| empty.contains(&name))
    };
    let problems: Vec<String> = tree::rust_files()
        .iter()
        .filter(says_nothing)
        .map(|file| format!("{}:1: a name that says nothing", file.path))
        .collect();
    assert_none(&problems, "name the file after what it holds; what has no name has no home yet");
}

#[test]
fn modules_are_files_of_their_own_name() {
    let name = ["mod", "rs"].join(".");
    let files = tree::rust_files();
    let found = files.iter().filter(|file| file.name() == name);
    let problems: Vec<String> = found.map(|file| format!("{}:1: is called {name}", file.path)).collect();
    assert_none(&problems, "call it as its folder and put it beside the folder: `retry.rs` and `retry/`");
}

#[test]
fn no_test_is_ignored_or_expects_a_panic() {
    let cure = "let the test assert what happens today and say why that is wrong";
    assert_none(&attributes(&["ignore", "should_panic"]), cure);
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    // Code that a macro writes stands in crates of others, where it cannot know whether the lint would speak.
    let is_of_macro = |problem: &String| problem.starts_with("guest-sdk/rust/macros/") && problem.contains("reason = ");
    let mut problems = attributes(&["allow("]);
    problems.retain(|problem| !is_of_macro(problem));
    assert_none(&problems, "write #[expect(lint, reason = \"…\")]");
}

/// Where an attribute of one of these names stands, be it for what follows or for the file.
fn attributes(names: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in tree::rust_files() {
        for (number, line) in file.lines() {
            let found = attribute(line).filter(|line| names.iter().any(|name| line.starts_with(name)));
            problems.extend(found.map(|line| format!("{}:{number}: #[{line}", file.path)));
        }
    }
    problems
}

fn attribute(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("#[").or_else(|| line.strip_prefix("#!["))
}

#[test]
fn attributes_are_found_for_an_item_and_for_a_file() {
    assert_eq!(attribute("    #[test]"), Some("test]"));
    assert_eq!(attribute("#![expect(x)]"), Some("expect(x)]"));
    assert_eq!(attribute("// #[test]"), None);
}
