//! How long files and functions may be. Counted is what stands before the first inline test module.

use crate::assert_none;
use crate::tree;

/// Wished are half as many.
const FILE: usize = 800;
/// Wished are 60.
const FUNCTION: usize = 100;

#[test]
fn files_keep_to_their_budget() {
    let mut problems = Vec::new();
    for file in tree::rust_files() {
        let lines = counted(&file.text).len();
        if lines > FILE {
            problems.push(format!("{}:{}: {lines} lines, more than {FILE}", file.path, FILE + 1));
        }
    }
    assert_none(&problems, "move a part with a name of its own into a file of that name");
}

#[test]
fn functions_keep_to_their_budget() {
    let mut problems = Vec::new();
    for file in tree::rust_files() {
        for (line, length) in long_functions(&counted(&file.text)) {
            problems.push(format!("{}:{line}: a function of {length} lines, more than {FUNCTION}", file.path));
        }
    }
    let cure = "split it; if it is a flat match, say so in a line above it: `// long: <reason>`";
    assert_none(&problems, cure);
}

fn counted(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let is_inline = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && opens_module(pair[1]);
    let end = lines.windows(2).position(is_inline).unwrap_or(lines.len());
    lines[..end].to_vec()
}

fn opens_module(line: &str) -> bool {
    let line = line.trim();
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    line.starts_with("mod ") && line.ends_with('{')
}

/// Line and length of each function over the budget that gives no reason. rustfmt puts the end of a function at the
/// indentation of its beginning.
fn long_functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let indentation = line.len() - line.trim_start().len();
        if !begins_function(line.trim_start()) {
            continue;
        }
        let at_margin = |line: &&str| line.len() - line.trim_start().len() == indentation && !line.trim().is_empty();
        let mut rest = lines[begin..].iter().enumerate().filter(|(_, line)| at_margin(line));
        // The head ends with the line that opens the body, or there is none.
        let Some((open, head)) = rest.find(|(_, line)| line.ends_with(['{', ';', '}'])) else { continue };
        let end =
            if head.ends_with('{') { rest.find(|(_, line)| line.trim() == "}").map(|(end, _)| end) } else { None };
        let length = end.unwrap_or(open) + 1;
        if length > FUNCTION && !says_why(&lines[..begin]) {
            found.push((begin + 1, length));
        }
    }
    found
}

fn begins_function(line: &str) -> bool {
    let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
    let qualifiers = ["pub", "crate)", "super)", "const", "async", "unsafe", "extern", "\"C\"", "default"];
    words.find(|word| !qualifiers.contains(word)) == Some("fn")
}

/// Whether the comments and attributes right above give a reason.
fn says_why(above: &[&str]) -> bool {
    let attached = above.iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with(['#', '/']));
    attached.filter_map(|line| line.strip_prefix("// long:")).any(|reason| !reason.trim().is_empty())
}

#[test]
fn a_file_is_counted_up_to_its_inline_tests() {
    assert_eq!(counted("a\nb\n#[cfg(test)]\nmod tests {\n}\n").len(), 2);
    assert_eq!(counted("#[cfg(test)]\nmod tests;\na\n").len(), 3);
}

#[test]
fn long_functions_are_found_whatever_their_head() {
    let check = |head: &str, expected: &[(usize, usize)]| {
        let body = "        call();\n".repeat(FUNCTION - 1);
        let text = format!("impl Type {{\n{head}\n{body}    }}\n}}\n");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(long_functions(&lines), expected, "{head}");
    };
    check("    pub(crate) async fn run(&self) {", &[(2, 101)]);
    check("    fn run<T>(\n        &self,\n    ) -> u8\n    where\n        T: Copy,\n    {", &[(2, 106)]);
    check("    // long: one arm for each command.\n    fn run() {", &[]);
    check("    // long:\n    fn run() {", &[(3, 101)]);
    check("    fn asked(&self) -> bool;\n    fn short() {}\n    loop {", &[]);
    check("    let fnord = || {", &[]);
}
