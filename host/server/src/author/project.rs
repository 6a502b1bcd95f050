//! A project as it stands on the disk: where it is, what it is written in, and what its manifest says.

use std::fs;
use std::path::{Path, PathBuf};

use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;

use crate::cli::failure::Failure;

use super::language::Language;

/// The folder for what is made on the way, and for the data of `hostel dev`. Of no worth to anybody else.
const WORK: &str = ".hostel";

/// A project that can be built.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Its folder, from the top.
    pub(crate) folder: PathBuf,
    /// What it is written in.
    pub(crate) language: Language,
    /// Its `handler.toml`.
    pub(crate) manifest_path: PathBuf,
    /// What stands in it.
    pub(crate) manifest: Manifest,
    /// Where the component goes.
    pub(crate) component: PathBuf,
}

impl Project {
    /// Reads the project in a folder, which may also be given by its manifest.
    ///
    /// # Errors
    /// When there is no manifest, it is malformed, or the language cannot be told.
    pub(crate) fn open(path: &Path, language: Option<Language>) -> Result<Self, Failure> {
        let is_manifest = path.extension().is_some_and(|extension| extension == "toml");
        let manifest_path = if is_manifest { path.to_owned() } else { path.join("handler.toml") };
        let manifest_path = fs::canonicalize(&manifest_path).map_err(|error| {
            Failure::coded(
                Code::NoProject,
                format!("`{}` is no project: cannot read `{}`: {error}", path.display(), manifest_path.display()),
            )
        })?;
        let folder = manifest_path.parent().unwrap_or(Path::new("")).to_owned();
        let text = fs::read_to_string(&manifest_path).map_err(|error| Failure::unreadable(&manifest_path, &error))?;
        let manifest = Manifest::from_toml(&text, "handler.toml")
            .map_err(|error| Failure::coded(Code::MalformedDocument, error.to_string()))?;
        let language = match language {
            Some(language) => language,
            None => only(&Language::found(&folder), &folder)?,
        };
        let component = folder.join(&manifest.component);
        Ok(Self { folder, language, manifest_path, manifest, component })
    }

    /// A folder below the project's own for what is made on the way; made if need be.
    pub(crate) fn work(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder.join(WORK).join(name);
        fs::create_dir_all(&folder).map_err(|error| super::sdk::unwritable(&folder, &error))?;
        Ok(folder)
    }

    /// The component's place as one would type it in the project's folder.
    pub(crate) fn component_shown(&self) -> &str {
        &self.manifest.component
    }
}

fn only(found: &[Language], folder: &Path) -> Result<Language, Failure> {
    let refused = |text: String| Err(Failure::coded(Code::NoProject, text));
    match found {
        [only] => Ok(*only),
        [] => {
            let mut marks: Vec<_> = Language::ALL.iter().map(|language| language.mark()).collect();
            marks.dedup();
            refused(format!("cannot tell the language of `{}`: it has none of {}", folder.display(), marks.join(", ")))
        }
        several => {
            let names: Vec<_> = several.iter().map(|it| format!("{} ({})", it.name(), it.mark())).collect();
            refused(format!(
                "cannot tell the language of `{}`: it may be {}; say which with `--lang`",
                folder.display(),
                names.join(" or ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Project::open(folder.path(), None).unwrap_err().render().unwrap()
    }

    const MANIFEST: (&str, &str) = ("handler.toml", "name = \"a\"\ncomponent = \"target/a.wasm\"");

    #[test]
    fn a_project_is_read_by_its_folder_or_its_manifest() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("handler.toml"), MANIFEST.1).unwrap();
        fs::write(folder.path().join("go.mod"), "module a").unwrap();
        for path in [folder.path().to_owned(), folder.path().join("handler.toml")] {
            let project = Project::open(&path, None).unwrap();
            assert_eq!((project.language, project.manifest.name.as_str()), (Language::Go, "a"));
            assert_eq!(project.component, project.folder.join("target/a.wasm"));
        }
        let asked = Project::open(folder.path(), Some(Language::C)).unwrap();
        assert_eq!(asked.language, Language::C);
    }

    #[test]
    fn what_is_no_project_is_told_apart() {
        let check = |files: &[(&str, &str)], expected: &str| {
            let text = refused(files);
            assert!(text.contains(expected), "{text}");
        };
        check(&[], "E0062");
        check(&[("handler.toml", "name = 7")], "E0012");
        check(&[MANIFEST], "it has none of Cargo.toml, package.json, pyproject.toml, go.mod, a file that ends in .c");
        check(&[MANIFEST, ("go.mod", ""), ("a.c", "")], "it may be go (go.mod) or c (a file that ends in .c)");
    }
}
