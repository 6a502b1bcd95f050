//! The tools of the languages, for `hostel build`.

use std::path::Path;

use crate::author::build;
use crate::author::language::Language;
use crate::cli::failure::Failure;

use super::Examined;

/// Looks for every language's tools. One that is missing matters where a project of that language is.
pub(super) async fn examine() -> Vec<Examined> {
    let folder = Path::new(".");
    let here = Language::found(folder);
    let mut examined = Vec::new();
    for language in Language::ALL {
        examined.push(judge(language, build::tools(language, folder).await, here.contains(&language)));
    }
    examined
}

fn judge(language: Language, tools: Result<(), Failure>, is_here: bool) -> Examined {
    let about = language.name();
    let (what, cure) = match tools {
        Ok(()) => return Examined::fine(about, "its tools are here"),
        Err(Failure::Coded { text, hint, .. }) => (text, hint),
        Err(other) => (other.render().unwrap_or_default(), String::new()),
    };
    match is_here {
        true => Examined::finding(about, what, "`hostel build` cannot build the project in this folder", cure),
        false => Examined::note(about, format!("{what}, which building in this language needs"), cure),
    }
}

#[cfg(test)]
mod tests {
    use hostel_api::problem::Code;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_missing_tool_matters_where_its_language_is_used() {
        let missing = || Err(Failure::coded(Code::ToolMissing, "there is no `go`"));
        assert_eq!(judge(Language::Go, Ok(()), true).verdict, Verdict::Fine);
        assert_eq!(judge(Language::Go, missing(), true).verdict, Verdict::Finding);
        assert_eq!(judge(Language::Go, missing(), false).verdict, Verdict::Note);
    }
}
