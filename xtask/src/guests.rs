//! `cargo xtask guests`: compiles the sample handlers to components and puts them where their manifests look. Each
//! language has a file of its own; this one answers for what they share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use self::component::Wrapper;
use crate::process;
use crate::repository::{self, shown};
use crate::setup;

mod c;
mod component;
mod fresh;
mod go;
mod javascript;
mod python;
mod rust;

pub(crate) use self::python::check as check_python;
pub(crate) use self::rust::{build, build_for_benches, build_host};

/// A handler's name and its component.
pub(crate) type Guests = BTreeMap<String, PathBuf>;

#[derive(Args)]
pub(crate) struct Options {
    /// Only these languages; all unless given.
    languages: Vec<Language>,
}

/// A language that sample handlers are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    Javascript,
    Typescript,
    Python,
    Go,
    C,
}

/// How a language's handlers were built.
pub(crate) enum Built {
    /// All of them.
    All,
    /// None, for want of a tool; says what is missing and the command that installs it.
    Skipped(String),
}

impl Language {
    /// Those whose tools a machine may lack.
    pub(crate) const OTHERS: [Self; 5] = [Self::Javascript, Self::Typescript, Self::Python, Self::Go, Self::C];

    /// Its name, and that of its folder below `handlers`.
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

    fn handlers(self) -> Result<BTreeMap<String, PathBuf>> {
        handler_folders(&repository::root().join("handlers").join(self.name()))
    }

    fn check(self) -> Result<()> {
        match self {
            Self::Rust => Ok(()),
            Self::Javascript | Self::Typescript => javascript::check(),
            Self::Python => python::check(),
            Self::Go => go::check(),
            Self::C => c::check(),
        }
    }
}

/// Builds what was asked for. Without the tools of a language that was named it fails; of others it says so.
pub(crate) fn run(options: &Options) -> Result<()> {
    let all = options.languages.is_empty();
    if all || options.languages.contains(&Language::Rust) {
        build(&setup::run()?)?;
    }
    for language in Language::OTHERS {
        if !all && !options.languages.contains(&language) {
            continue;
        }
        match build_other(language)? {
            Built::Skipped(reason) if all => println!("SKIPPED: handlers in {}: {reason}", language.name()),
            Built::Skipped(reason) => bail!("cannot build the handlers in {}: {reason}", language.name()),
            Built::All => {}
        }
    }
    Ok(())
}

/// Builds the handlers of a language other than Rust into `target/guests/<language>/<name>.wasm`.
pub(crate) fn build_other(language: Language) -> Result<Built> {
    if let Err(error) = language.check() {
        return Ok(Built::Skipped(format!("{error:#}")));
    }
    let target = repository::guests().join(language.name());
    fs::create_dir_all(&target).with_context(|| format!("cannot create `{}`", target.display()))?;
    for (name, folder) in language.handlers()? {
        let path = target.join(&name).with_extension("wasm");
        match language {
            Language::Rust => bail!("Rust's handlers are built together"),
            Language::Javascript | Language::Typescript => javascript::build(&folder, &path)?,
            Language::Python => python::build(&folder, &path)?,
            Language::Go => drop(place(&go::build(&folder, &Wrapper::build()?)?, &path)?),
            Language::C => drop(place(&c::build(&folder, &Wrapper::build()?)?, &path)?),
        }
        let bytes = fs::metadata(&path).with_context(|| format!("no component at `{}`", shown(&path)))?.len();
        println!("{}/{name}: {} KiB in {}", language.name(), bytes.div_ceil(1024), shown(&path));
    }
    Ok(Built::All)
}

/// Runs the unit tests of a language's SDK and handlers. Not without its tools.
pub(crate) fn test_other(language: Language) -> Result<()> {
    let mut commands: Vec<Command> = match language {
        Language::Rust => bail!("Rust's tests are cargo's"),
        Language::Javascript => vec![javascript::test_sdk()?],
        Language::Python => vec![python::test(&repository::root().join("guest-sdk/python/tests"))],
        Language::Go => vec![go::test(&repository::root().join("guest-sdk/go"))],
        Language::C => vec![c::test(&repository::root().join("guest-sdk/c"))?],
        Language::Typescript => Vec::new(),
    };
    for folder in language.handlers()?.values() {
        commands.push(match language {
            Language::Javascript | Language::Typescript => javascript::test(folder)?,
            Language::Python => python::test(folder),
            Language::Go => go::test(folder),
            Language::C => c::test(folder)?,
            Language::Rust => continue,
        });
    }
    commands.iter_mut().try_for_each(process::run)
}

fn handler_folders(workspace: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let entries = fs::read_dir(workspace).with_context(|| format!("cannot list `{}`", shown(workspace)))?;
    let mut folders = BTreeMap::new();
    for entry in entries {
        let folder = entry?.path();
        if folder.join("handler.toml").is_file() {
            folders.insert(folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), folder);
        }
    }
    if folders.is_empty() {
        bail!("`{}` holds no folder with a handler.toml", shown(workspace));
    }
    Ok(folders)
}

/// Copies a component to its place unless it is there already, and returns its size. The copy appears at once and
/// whole: a host may be reading the old one.
fn place(component: &Path, path: &Path) -> Result<usize> {
    let bytes = fs::read(component).with_context(|| format!("cannot read `{}`", component.display()))?;
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(bytes.len());
    }
    let whole = path.with_extension("wasm.new");
    fs::write(&whole, &bytes)
        .and_then(|()| fs::rename(&whole, path))
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_placed_whole_and_only_when_it_differs() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "one").unwrap();
        assert_eq!(place(&from, &to).unwrap(), 3);
        let first = fs::metadata(&to).unwrap().modified().unwrap();
        assert_eq!(place(&from, &to).unwrap(), 3);
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), first);
        fs::write(&from, "three").unwrap();
        assert_eq!(place(&from, &to).unwrap(), 5);
        assert_eq!(fs::read(&to).unwrap(), b"three");
    }
}
