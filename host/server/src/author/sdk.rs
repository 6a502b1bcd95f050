//! The SDK in a project: `hostel-sdk`, laid out as its language wants it, with a stamp that says whose it is.

use std::fs;
use std::path::Path;

use hostel_api::problem::Code;
use sha2::{Digest, Sha256};

use crate::cli::failure::Failure;

use super::embedded::{CONTRACT, File};
use super::language::Language;

/// The folder in a project.
pub(crate) const FOLDER: &str = "hostel-sdk";
/// The stamp in that folder: the version, and a digest of everything beside it.
const STAMP: &str = "HOSTEL_VERSION";

/// How the SDK of a project stands to the one that this binary carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is that one.
    Same,
    /// It is of another version, whose stamp is given; or changed in no way that we know of.
    Other(String),
    /// There is none: the author brings one by other means.
    Absent,
}

/// Every file of a language's SDK, the contract included, with its place below [`FOLDER`].
fn files(language: Language) -> Vec<(String, &'static [u8])> {
    let contract = match language {
        Language::Rust => "hostel/wit",
        Language::Python => "src/hostel/wit",
        Language::Javascript | Language::Typescript | Language::Go | Language::C => "wit",
    };
    let own = language.sdk().iter().map(|&(path, content): &File| (path.to_owned(), content));
    own.chain(CONTRACT.iter().map(|&(path, content)| (format!("{contract}/{path}"), content))).collect()
}

/// The stamp of a language's SDK in this binary.
fn stamp(language: Language) -> String {
    let mut hash = Sha256::new();
    for (path, content) in files(language) {
        hash.update(format!("{path}\0{}\0", content.len()));
        hash.update(content);
    }
    let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{} {digest}", env!("CARGO_PKG_VERSION"))
}

/// Writes the SDK into a project, in place of what is there.
pub(crate) fn lay_out(project: &Path, language: Language) -> Result<(), Failure> {
    let folder = project.join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    }
    for (path, content) in files(language) {
        write(&folder.join(path), content)?;
    }
    write(&folder.join(STAMP), format!("{}\n", stamp(language)).as_bytes())
}

/// How the SDK of a project stands to ours.
pub(crate) fn state(project: &Path, language: Language) -> State {
    match fs::read_to_string(project.join(FOLDER).join(STAMP)) {
        Ok(text) if text.trim() == stamp(language) => State::Same,
        Ok(text) => State::Other(text.trim().to_owned()),
        Err(_) => State::Absent,
    }
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).and_then(|()| fs::write(path, content)).map_err(|error| unwritable(path, &error))
}

pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::coded(Code::FileUnreadable, format!("cannot write `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sdk_is_whole_and_brings_the_contract() {
        let check = |language: Language, expected: &[&str]| {
            let files = files(language);
            for path in expected {
                let found = files.iter().find(|(own, _)| own == path);
                assert!(found.is_some_and(|(_, content)| !content.is_empty()), "{} {path}", language.name());
            }
            let left_by_tools = files.iter().find(|(path, _)| path.contains("node_modules") || path.contains(".pyc"));
            assert_eq!(left_by_tools, None);
            let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
            assert!(bytes < 1_000_000, "{} has {bytes} bytes", language.name());
        };
        check(Language::Rust, &["Cargo.toml", "README.md", "hostel/src/lib.rs", "macros/src/lib.rs"]);
        check(Language::Rust, &["hostel/wit/handler.wit", "hostel/wit/deps/wasi-cli-0.2.12/package.wit"]);
        check(Language::Javascript, &["package.json", "src/build/command.js", "types/index.d.ts", "wit/handler.wit"]);
        check(Language::Python, &["requirements-build.txt", "src/hostel/build.py", "src/hostel/wit/handler.wit"]);
        check(Language::Go, &["go.mod", "hostel/hosteltest/hosteltest.go", "internal/host/trap_wasm.s"]);
        check(Language::C, &["include/hostel.h", "src/component.c", "bindings/bindings.c", "wit/handler.wit"]);
    }

    #[test]
    fn a_new_projects_lock_file_has_what_the_sdk_needs() {
        let json = |files: &[File], path: &str| -> serde_json::Value {
            let (_, content) = files.iter().find(|(own, _)| *own == path).unwrap();
            serde_json::from_slice(content).unwrap()
        };
        for language in [Language::Javascript, Language::Typescript] {
            let package = json(language.sdk(), "package.json");
            let lock = json(language.template(), "package-lock.json");
            let locked = &lock["packages"]["hostel-sdk"];
            for key in ["version", "dependencies", "devDependencies"] {
                assert_eq!(locked[key], package[key], "{} {key}", language.name());
            }
            let overrides = &json(language.template(), "package.json")["overrides"]["@bytecodealliance/jco"];
            assert_eq!(overrides["."], package["overrides"]["@bytecodealliance/jco"]["."]);
        }
    }

    #[test]
    fn an_sdk_of_another_version_is_noticed_and_replaced() {
        let project = tempfile::tempdir().unwrap();
        assert_eq!(state(project.path(), Language::C), State::Absent);
        lay_out(project.path(), Language::C).unwrap();
        assert_eq!(state(project.path(), Language::C), State::Same);
        let folder = project.path().join(FOLDER);
        fs::write(folder.join(STAMP), "0.0.1 abc\n").unwrap();
        fs::write(folder.join("old.c"), "").unwrap();
        assert_eq!(state(project.path(), Language::C), State::Other("0.0.1 abc".to_owned()));
        lay_out(project.path(), Language::C).unwrap();
        assert_eq!(state(project.path(), Language::C), State::Same);
        assert!(!folder.join("old.c").exists());
    }
}
