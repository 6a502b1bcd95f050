//! From a project to its component: the language's own tools, each in a file of its own, and a look at what they made.

pub(crate) mod c;
mod component;
pub(crate) mod go;
pub(crate) mod javascript;
pub(crate) mod python;
pub(crate) mod rust;

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::cli::failure::Failure;

use super::check::{self, Checked};
use super::language::Language;
use super::project::Project;
use super::sdk;

/// Builds a project and checks that what came of it is a handler. Cancelling ends the tools.
///
/// # Errors
/// When a tool is missing, with the command that brings it; when the tools fail, which have said why themselves; when
/// the component does not fit.
pub(crate) async fn build(project: &Project) -> Result<Checked, Failure> {
    let began = Instant::now();
    match project.language {
        Language::Rust => rust::build(project).await?,
        Language::Javascript | Language::Typescript => javascript::build(project).await?,
        Language::Python => python::build(project).await?,
        Language::Go => go::build(project).await?,
        Language::C => c::build(project).await?,
    }
    let bytes = fs::read(&project.component).map_err(|error| Failure::unreadable(&project.component, &error))?;
    check::check(project, &bytes, began.elapsed())
}

/// Whether the tools of a language are here, as seen from a folder.
///
/// # Errors
/// Names what is missing, with the command that brings it.
pub(crate) async fn tools(language: Language, folder: &Path) -> Result<(), Failure> {
    match language {
        Language::Rust => rust::check(folder).await,
        Language::Javascript | Language::Typescript => javascript::check(folder).await,
        Language::Python => python::check(folder).await,
        Language::Go => go::check(folder).await,
        Language::C => c::check(),
    }
}

/// Writes a component whole or not at all, and only if it differs: a host may be reading the old one.
fn place(component: &[u8], path: &Path) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|old| old == component) {
        return Ok(());
    }
    let whole = path.with_extension("wasm.new");
    sdk::write(&whole, component)?;
    fs::rename(&whole, path).map_err(|error| sdk::unwritable(path, &error))
}

/// `(1, 26)` of `1.26.8`, whatever stands before the digits.
fn version(text: &str) -> Option<(u32, u32)> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_by_their_numbers() {
        let check = |text: &str, expected| assert_eq!(version(text), expected, "{text}");
        check("go1.26.8", Some((1, 26)));
        check("go1.24rc1", Some((1, 24)));
        check("v20.20.2", Some((20, 20)));
        check("devel", None);
        check("7", None);
    }

    #[test]
    fn a_component_is_placed_whole_and_only_when_it_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("target/a.wasm");
        place(b"one", &path).unwrap();
        let first = fs::metadata(&path).unwrap().modified().unwrap();
        place(b"one", &path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), first);
        place(b"two", &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(!path.with_extension("wasm.new").exists());
    }
}
