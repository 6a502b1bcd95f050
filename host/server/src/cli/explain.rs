//! `hostel explain` and `hostel completions`: what the program knows without a host.

use clap_complete::Shell;
use hostel_api::problem::Code;

use super::failure::Failure;
use super::{output, table};

/// The flags of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The code, such as E0012; without it, a list of all
    code: Option<String>,
}

/// The flags of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Prints an error's page.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    output::data(&render(arguments.code.as_deref())?)
}

/// Prints a script for a shell.
pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::manual::command(), "hostel", &mut script);
    output::data(&String::from_utf8_lossy(&script))
}

fn render(code: Option<&str>) -> Result<String, Failure> {
    let Some(code) = code else {
        let rows: Vec<_> = Code::ALL.iter().map(|code| [code.as_str().to_owned(), code.title().to_owned()]).collect();
        return Ok(table::render(["CODE", "MEANING"], &rows));
    };
    match code.parse::<Code>() {
        Ok(code) => Ok(code.page().to_owned()),
        Err(error) => Err(Failure::Misuse(format!("{error}; `hostel explain` lists all"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_answered_with_its_page() {
        let page = render(Some("e12")).unwrap();
        assert!(page.starts_with("# E0012: malformed JSON or manifest\n\n## What\n"), "{page}");
    }

    #[test]
    fn without_a_code_all_are_listed() {
        let list = render(None).unwrap();
        assert!(list.starts_with("CODE   MEANING\nE0001  not a WebAssembly file\n"), "{list}");
        assert_eq!(list.lines().count(), Code::ALL.len() + 1);
    }

    #[test]
    fn a_code_that_is_none_is_misuse() {
        let expected = "`E9999` is not an error code of this version; `hostel explain` lists all";
        assert_eq!(render(Some("E9999")), Err(Failure::Misuse(expected.to_owned())));
    }
}
