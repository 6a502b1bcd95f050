//! `hostel new`: a folder with a small handler that works, its test, and all that it is built with.

use std::path::PathBuf;

use hostel_api::problem::Code;
use hostel_event::name::HandlerName;
use hostel_event::pattern::Pattern;

use crate::author::language::Language;
use crate::author::template::{self, New};

use super::failure::Failure;
use super::output;

/// The flags of `new`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The handler's name
    name: String,
    /// What to write it in
    #[arg(long, short, value_enum, value_name = "LANGUAGE")]
    lang: Language,
    /// What it hears
    #[arg(long, value_name = "PATTERN", default_value = "greetings.sent")]
    topic: String,
    /// Where to put it [default: a folder of its name]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Lays out a project and says how to go on.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let malformed = |text: String| Failure::coded(Code::MalformedName, text);
    let name = HandlerName::new(&arguments.name).map_err(|error| malformed(error.to_string()))?;
    if let Some(refusal) = template::refusal(&name) {
        return Err(malformed(refusal));
    }
    let pattern = Pattern::new(&arguments.topic).map_err(|error| malformed(error.to_string()))?;
    let folder = arguments.folder.clone().unwrap_or_else(|| PathBuf::from(name.as_str()));
    template::lay_out(&folder, &New { name: &name, language: arguments.lang, pattern: &pattern })?;
    let shown = folder.display();
    output::talk(&format!("made `{name}` in `{shown}`, in {}; go on with:", arguments.lang.name()));
    output::data(&format!("cd {shown}\nhostel dev\n"))
}
