//! What people are told of the command line: whole, and true.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::ValueEnum;
use clap_complete::Shell;

use super::*;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/manual/commands.txt");

/// A command with its flags and arguments, then those below it.
fn listed(command: &Command, above: &str, list: &mut String) {
    let name = if above.is_empty() { command.get_name().to_owned() } else { format!("{above} {}", command.get_name()) };
    list.push_str(&name);
    for argument in command.get_positionals() {
        let names = argument.get_value_names().unwrap_or_default();
        let shown = names.first().map_or_else(|| argument.get_id().as_str().to_uppercase(), ToString::to_string);
        let is_needed = argument.is_required_set();
        write!(list, " {}", if is_needed { format!("<{shown}>") } else { format!("[{shown}]") }).unwrap();
    }
    list.push('\n');
    let mut flags: Vec<&str> =
        command.get_arguments().filter(|it| !it.is_global_set()).filter_map(clap::Arg::get_long).collect();
    flags.sort_unstable();
    for flag in flags {
        writeln!(list, "    --{flag}").unwrap();
    }
    for inner in command.get_subcommands() {
        listed(inner, &name, list);
    }
}

#[test]
fn the_commands_and_flags_are_those_that_are_kept() {
    let mut list = String::new();
    listed(&command(), "", &mut list);
    if std::env::var_os("RENEW").is_some_and(|value| value == "1") {
        std::fs::write(KEPT, &list).unwrap();
    }
    let kept = std::fs::read_to_string(KEPT).unwrap_or_default();
    let at = kept.lines().zip(list.lines()).position(|(kept, made)| kept != made);
    assert!(
        kept == list,
        "`cli/manual/commands.txt` is out of date from line {} on; look whether the change is meant, then renew it: \
         RENEW=1 cargo test --workspace --bin hostel manual",
        at.unwrap_or_default() + 1,
    );
}

fn paths(command: &Command, above: &str, found: &mut Vec<String>) {
    for inner in command.get_subcommands() {
        let path = if above.is_empty() { inner.get_name().to_owned() } else { format!("{above} {}", inner.get_name()) };
        paths(inner, &path, found);
        found.push(path);
    }
}

#[test]
fn every_command_has_an_example_in_its_long_help_and_no_other_has() {
    let mut found = Vec::new();
    paths(&command(), "", &mut found);
    for path in &found {
        assert!(EXAMPLES.iter().any(|(name, _)| name == path), "`hostel {path}` has no example in cli/manual.rs");
    }
    for (name, examples) in EXAMPLES {
        assert!(found.iter().any(|path| path == name), "`{name}` is no command");
        assert!(!examples.is_empty(), "{name}");
    }
}

/// The words of a line as a shell makes them of it: blanks part, single quotes keep together.
fn words(line: &str) -> Vec<OsString> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.into_iter().map(OsString::from).collect()
}

#[test]
fn every_example_can_be_typed() {
    for (name, examples) in EXAMPLES {
        for example in *examples {
            let typed = example.split(['|', '>']).next().unwrap_or_default();
            // What is quoted may have such a sign in it.
            let typed = if typed.matches('\'').count() % 2 == 0 { typed.trim_end() } else { example };
            let read = Everything::read(words(typed));
            assert!(read.is_ok(), "{name}: {example}: {}", read.unwrap_err());
            assert!(typed.starts_with(&format!("hostel {name}")), "{name}: {example}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = write(folder.path()).unwrap();
    let mut found = Vec::new();
    paths(&command(), "", &mut found);
    assert_eq!(pages, found.len() + 1);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("hostel.1").contains("hostel"), "{}", page("hostel.1"));
    let page = page("hostel-tokens-create.1");
    assert!(page.contains("publish:orders"), "{page}");
    for path in found {
        assert!(folder.path().join(format!("hostel-{}.1", path.replace(' ', "-"))).is_file(), "{path}");
    }
}

#[test]
fn every_shell_gets_completions_for_every_command() {
    for shell in Shell::value_variants() {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut command(), "hostel", &mut script);
        let script = String::from_utf8(script).unwrap();
        for name in ["doctor", "manual", "dead-letters", "redrive"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}
