//! The languages that a project may be in, and how one is told from its files.

use std::path::Path;

/// A language that there is an SDK for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    #[value(alias = "rs")]
    Rust,
    #[value(alias = "js")]
    Javascript,
    #[value(alias = "ts")]
    Typescript,
    #[value(alias = "py")]
    Python,
    #[value(alias = "golang")]
    Go,
    C,
}

impl Language {
    /// Every one of them.
    pub(crate) const ALL: [Self; 6] = [Self::Rust, Self::Javascript, Self::Typescript, Self::Python, Self::Go, Self::C];

    /// As it is given on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Javascript => "javascript",
            Self::Typescript => "typescript",
            Self::Python => "python",
            Self::Go => "go",
            Self::C => "c",
        }
    }

    /// The file by which its projects are known.
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Javascript | Self::Typescript => "package.json",
            Self::Python => "pyproject.toml",
            Self::Go => "go.mod",
            Self::C => "a file that ends in .c",
        }
    }

    /// Those whose mark is in a folder. JavaScript's and TypeScript's mark is the same; `main` in it tells them apart.
    pub(crate) fn found(folder: &Path) -> Vec<Self> {
        Self::ALL.into_iter().filter(|language| language.is_in(folder)).collect()
    }

    fn is_in(self, folder: &Path) -> bool {
        match self {
            Self::C => std::fs::read_dir(folder).is_ok_and(|mut entries| {
                entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|it| it == "c")))
            }),
            Self::Javascript | Self::Typescript => {
                let is_typescript = super::build::javascript::entry(folder).is_ok_and(|entry| entry.ends_with(".ts"));
                folder.join(self.mark()).is_file() && is_typescript == (self == Self::Typescript)
            }
            Self::Rust | Self::Python | Self::Go => folder.join(self.mark()).is_file(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_language_is_known_by_its_files() {
        let check = |files: &[(&str, &str)], expected: &[Language]| {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            assert_eq!(Language::found(folder.path()), expected, "{files:?}");
        };
        check(&[("Cargo.toml", "")], &[Language::Rust]);
        check(&[("package.json", r#"{"main": "a.js"}"#)], &[Language::Javascript]);
        check(&[("package.json", "{}")], &[Language::Javascript]);
        check(&[("package.json", r#"{"main": "src/a.ts"}"#)], &[Language::Typescript]);
        check(&[("pyproject.toml", "")], &[Language::Python]);
        check(&[("go.mod", "")], &[Language::Go]);
        check(&[("a.c", ""), ("a.h", "")], &[Language::C]);
        check(&[("a.h", "")], &[]);
        check(&[("Cargo.toml", ""), ("go.mod", "")], &[Language::Rust, Language::Go]);
    }
}
