//! `hostel build`: from a project to its component.

use std::path::PathBuf;

use crate::author::language::Language;
use crate::author::project::Project;
use crate::author::sdk::State;
use crate::author::{build, check, sdk};

use super::failure::Failure;
use super::output;

/// The flags of `build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The project's folder, or its handler.toml
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// What it is written in [default: told from its files]
    #[arg(long, short, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,
    /// Replace the project's SDK by the one of this version of `hostel`
    #[arg(long)]
    update_sdk: bool,
    /// Print what was built as JSON
    #[arg(long)]
    json: bool,
}

/// Builds a project and tells what came of it.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let project = Project::open(&arguments.path, arguments.lang)?;
    if arguments.update_sdk {
        sdk::lay_out(&project.folder, project.language)?;
    }
    mention_sdk(&project);
    let checked = build::build(&project).await?;
    if arguments.json { output::json(&checked) } else { output::data(&check::render(&checked)) }
}

/// Says so if the project's SDK is of another version.
pub(super) fn mention_sdk(project: &Project) {
    if let State::Other(stamp) = sdk::state(&project.folder, project.language) {
        output::talk(&format!(
            "`{}` is of another version of hostel ({stamp}); `hostel build --update-sdk` replaces it",
            sdk::FOLDER
        ));
    }
}
