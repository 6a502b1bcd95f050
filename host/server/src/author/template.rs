//! New projects: the templates with a name and a topic filled in.

use std::fs;
use std::path::Path;

use hostel_api::problem::Code;
use hostel_event::name::HandlerName;
use hostel_event::pattern::{Pattern, Token};

use crate::cli::failure::Failure;

use super::embedded::SHARED_TEMPLATE;
use super::language::Language;
use super::sdk;

/// What a new project is about.
#[derive(Debug, Clone)]
pub(crate) struct New<'a> {
    /// The handler's name.
    pub(crate) name: &'a HandlerName,
    /// What it is written in.
    pub(crate) language: Language,
    /// What it hears.
    pub(crate) pattern: &'a Pattern,
}

/// Names that a package cannot have in some language, or that the SDK needs.
const TAKEN: [&str; 12] = [
    "alloc",
    "core",
    "hostel",
    "hostel-macros",
    "log",
    "node-modules",
    "proc-macro",
    "proc-macro2",
    "quote",
    "serde",
    "std",
    "test",
];
/// Words of Rust that no crate can be called by.
const KEYWORDS: [&str; 20] = [
    "as", "async", "await", "box", "crate", "do", "dyn", "extern", "final", "for", "impl", "loop", "macro", "match",
    "mod", "move", "static", "super", "type", "use",
];

/// Why a name that a handler may have is none for a project.
pub(crate) fn refusal(name: &HandlerName) -> Option<String> {
    let name = name.as_str();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Some(format!("`{name}` does not begin with a letter, as a package has to"));
    }
    let taken = TAKEN.contains(&name) || KEYWORDS.contains(&name);
    taken.then(|| format!("`{name}` means something else to a compiler; choose another name"))
}

/// Lays out a project in a folder that does not exist or is empty.
pub(crate) fn lay_out(folder: &Path, new: &New<'_>) -> Result<(), Failure> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        let text = format!("`{}` is there already and not empty", folder.display());
        return Err(Failure::coded(Code::FolderTaken, text));
    }
    for (path, content) in files(new) {
        sdk::write(&folder.join(path), &content)?;
    }
    sdk::lay_out(folder, new.language)
}

/// A topic that a pattern hears.
pub(crate) fn example_topic(pattern: &Pattern) -> String {
    let token = |token: Token<'_>| match token {
        Token::Exact(text) => text.to_owned(),
        Token::One | Token::Rest => "example".to_owned(),
    };
    pattern.tokens().map(token).collect::<Vec<_>>().join(".")
}

fn files(new: &New<'_>) -> Vec<(String, Vec<u8>)> {
    let own = new.language.template();
    // The shared sample is JSON; a language that brings one of its own does without.
    let brings_sample = own.iter().any(|(path, _)| path.starts_with("events/"));
    let shared = SHARED_TEMPLATE.iter().filter(|(path, _)| !(brings_sample && path.starts_with("events/")));
    shared.chain(own).map(|&(path, content)| (place(path), filled(path, content, new))).collect()
}

/// Where a file of a template goes. A `.gitignore` in this tree would hide parts of it.
fn place(path: &str) -> String {
    if path == "gitignore" { ".gitignore".to_owned() } else { path.to_owned() }
}

fn filled(path: &str, content: &[u8], new: &New<'_>) -> Vec<u8> {
    let text = String::from_utf8_lossy(content)
        .replace("{{name}}", new.name.as_str())
        .replace("{{pattern}}", new.pattern.as_str())
        .replace("{{topic}}", &example_topic(new.pattern));
    if path == "Cargo.lock" { sorted_lock(&text) } else { text }.into_bytes()
}

/// Cargo keeps the packages of a lock file in the order of their names, and takes any other order for a change.
fn sorted_lock(text: &str) -> String {
    const HEAD: &str = "\n[[package]]\n";
    let mut parts = text.split(HEAD);
    let head = parts.next().unwrap_or_default();
    let mut packages: Vec<&str> = parts.map(|part| part.trim_end_matches('\n')).collect();
    packages.sort_by_key(|part| part.lines().next());
    let packages: String = packages.iter().map(|part| format!("{HEAD}{part}\n")).collect();
    format!("{head}{packages}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str, pattern: &str) -> (HandlerName, Pattern) {
        (HandlerName::new(name).unwrap(), Pattern::new(pattern).unwrap())
    }

    #[test]
    fn every_template_is_filled_in_whole() {
        let (name, pattern) = names("zeta", "orders.*.>");
        for language in Language::ALL {
            let new = New { name: &name, language, pattern: &pattern };
            let files = files(&new);
            for (path, content) in &files {
                let text = String::from_utf8_lossy(content);
                assert!(!text.contains("{{"), "{} {path}", language.name());
            }
            let text = |path: &str| {
                let found = files.iter().find(|(own, _)| own == path);
                String::from_utf8_lossy(&found.unwrap_or_else(|| panic!("{} {path}", language.name())).1).into_owned()
            };
            assert!(text("handler.toml").contains("pattern = \"orders.*.>\""));
            assert!(text("README.md").contains("orders.example.example"), "{}", language.name());
            assert!(text(".gitignore").contains("/.hostel"));
            assert!(files.iter().filter(|(path, _)| path.starts_with("events/")).count() == 1);
            assert!(files.iter().any(|(path, _)| path.contains("test") || path == "src/lib.rs"));
        }
    }

    #[test]
    fn a_lock_file_stays_sorted_under_any_name() {
        let lock =
            "# head\nversion = 4\n\n[[package]]\nname = \"zeta\"\n\n[[package]]\nname = \"b\"\nversion = \"1\"\n";
        let expected =
            "# head\nversion = 4\n\n[[package]]\nname = \"b\"\nversion = \"1\"\n\n[[package]]\nname = \"zeta\"\n";
        assert_eq!(sorted_lock(lock), expected);
    }

    #[test]
    fn a_pattern_has_an_example() {
        let check =
            |pattern: &str, expected: &str| assert_eq!(example_topic(&Pattern::new(pattern).unwrap()), expected);
        check("orders.created", "orders.created");
        check("orders.*", "orders.example");
        check("*.>", "example.example");
    }

    #[test]
    fn names_that_compilers_know_are_refused() {
        let check = |name: &str| refusal(&HandlerName::new(name).unwrap()).is_some();
        assert!(check("hostel") && check("async") && check("7up"));
        assert!(!check("greet") && !check("order-totals"));
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (name, pattern) = names("greet", "a");
        let new = New { name: &name, language: Language::C, pattern: &pattern };
        lay_out(folder.path(), &new).unwrap();
        let failure = lay_out(folder.path(), &new).unwrap_err();
        assert!(failure.render().unwrap().contains("is there already and not empty"));
    }
}
