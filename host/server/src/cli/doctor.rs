//! `hostel doctor`: looks for the usual mistakes on this machine before a host, or a build, trips over them.
//!
//! It changes nothing but a probe file that it removes again. What it looks at stands in the files below: each gathers
//! facts in one function and judges them in another.

mod files;
mod machine;
mod network;
mod tools;
mod watched;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::failure::Failure;
use super::{Connection, ServeArguments, output, text};
use crate::config::Config;
use crate::config::load::load;

/// The flags of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The config file of the host that runs, or is to run, on this machine
    #[arg(long, env = "HOSTEL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where it keeps data, if not where the config says
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// As of `hostel serve`: listening where other machines can reach it is meant
    #[arg(long)]
    allow_remote: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How something was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Fine,
    /// Worth knowing, and nothing that must be cured.
    Note,
    /// To be cured.
    Finding,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Examined {
    /// What it is about, in a word or two.
    about: &'static str,
    verdict: Verdict,
    /// What was found.
    what: String,
    /// Why it matters; empty where nothing does.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// What to do about it; as above.
    #[serde(skip_serializing_if = "String::is_empty")]
    cure: String,
}

impl Examined {
    fn fine(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Fine, what: what.into(), why: String::new(), cure: String::new() }
    }

    fn note(about: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, cure: cure.into(), ..Self::fine(about, what) }
    }

    fn finding(about: &'static str, what: impl Into<String>, why: &str, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Finding, why: why.to_owned(), cure: cure.into(), ..Self::fine(about, what) }
    }
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Report {
    findings: usize,
    examined: Vec<Examined>,
}

/// Looks at everything and tells of it.
///
/// # Errors
/// [`Failure::Said`] when something is to be cured.
pub(crate) async fn run(connection: Connection, arguments: &Arguments) -> Result<(), Failure> {
    let serve = ServeArguments {
        config: arguments.config.clone(),
        data_dir: arguments.data_dir.clone(),
        allow_remote: arguments.allow_remote,
        ..ServeArguments::default()
    };
    let mut examined = Vec::new();
    let config = match load(&crate::serve::sources(serve)) {
        Ok(config) => {
            examined.push(Examined::fine("config", "every key and value can be taken"));
            Some(config)
        }
        Err(mistakes) => {
            let why = "a host with this config does not start; what depends on it is not looked at below";
            let told = mistakes
                .iter()
                .map(|mistake| Examined::finding("config", mistake.text.clone(), why, mistake.code.hint()));
            examined.extend(told);
            None
        }
    };
    let token_file = connection.token_file.clone();
    let host = network::ask(connection.clone()).await;
    if let Some(config) = config {
        let tenants = if host.is_running() { watched::tenants(connection, &config).await } else { None };
        examined.extend(of_host(config, (host.is_running(), tenants)).await?);
    }
    examined.extend(token_file.as_deref().map(files::token));
    examined.push(host.into_examined());
    examined.extend(tools::examine().await);
    told(arguments, examined)
}

/// What a host with this config would meet.
async fn of_host(
    config: Config,
    (is_running, tenants): (bool, Option<BTreeSet<String>>),
) -> Result<Vec<Examined>, Failure> {
    let mut examined = network::ports(&config, is_running).await;
    // Syncing and walking folders block.
    let rest = tokio::task::spawn_blocking(move || {
        let mut examined = files::examine(&config);
        examined.extend(watched::examine(&config, tenants.as_ref()));
        examined.extend(machine::examine(&config));
        examined
    });
    examined.extend(rest.await.map_err(|error| Failure::plain(format!("cannot look at this machine: {error}")))?);
    Ok(examined)
}

fn told(arguments: &Arguments, examined: Vec<Examined>) -> Result<(), Failure> {
    let findings = examined.iter().filter(|one| one.verdict == Verdict::Finding).count();
    if arguments.json {
        output::json(&Report { findings, examined })?;
    } else {
        output::data(&rendered(&examined))?;
    }
    if findings == 0 {
        return Ok(());
    }
    let count = text::counted(u64::try_from(findings).unwrap_or(u64::MAX), "finding");
    output::talk(&format!("{count} to be cured"));
    Err(Failure::Said)
}

fn rendered(examined: &[Examined]) -> String {
    let width = examined.iter().map(|one| one.about.chars().count()).max().unwrap_or_default();
    let mut lines = String::new();
    for one in examined {
        let verdict = match one.verdict {
            Verdict::Fine => "ok",
            Verdict::Note => "note",
            Verdict::Finding => "CURE",
        };
        lines += &format!("{verdict:<4}  {:<width$}  {}\n", one.about, text::line(&one.what));
        let margin = " ".repeat(width + 8);
        for (name, said) in [("why", &one.why), ("cure", &one.cure)] {
            if !said.is_empty() {
                lines += &format!("{margin}{name}: {}\n", text::line(said));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_told_with_its_reason_and_its_cure() {
        let examined = [
            Examined::fine("config", "every key can be taken"),
            Examined::note("Go", "there is no `go`", "install Go"),
            Examined::finding("clock", "it is 1970", "ids and times are made of it", "set it"),
        ];
        let expected = "\
ok    config  every key can be taken
note  Go      there is no `go`
              cure: install Go
CURE  clock   it is 1970
              why: ids and times are made of it
              cure: set it
";
        assert_eq!(rendered(&examined), expected);
    }

    #[test]
    fn what_is_fine_is_short_in_json() {
        let json = serde_json::to_string(&Examined::fine("config", "good")).unwrap();
        assert_eq!(json, r#"{"about":"config","verdict":"fine","what":"good"}"#);
    }
}
