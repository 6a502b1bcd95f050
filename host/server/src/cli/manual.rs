//! The command line told: the examples of every command's long help, and `hostel manual`, which makes manual pages.
//!
//! Examples stand here and not beside the flags, so that one test can run all of them past the parser.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};

use super::failure::Failure;
use super::{Arguments as Everything, output};

/// The flags of `manual`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to write a page for every command; without it the first one goes to standard output
    #[arg(value_name = "DIRECTORY")]
    folder: Option<PathBuf>,
}

/// Every command, with examples that are worth a look.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("serve", &["hostel serve", "hostel serve --config /etc/hostel/hostel.toml --data-dir /var/lib/hostel"]),
    ("new", &["hostel new hello --lang rust", "hostel new billing --lang python --topic orders.paid"]),
    ("build", &["hostel build", "hostel build handlers/hello --json"]),
    ("dev", &["hostel dev", "hostel dev hello --publish event.json"]),
    (
        "publish",
        &[
            "hostel publish orders.created '{\"order\": 7}' -H 'Content-Type: application/json'",
            "hostel publish orders.created --file order.json --wait",
            "hostel publish readings.taken --lines readings.jsonl",
        ],
    ),
    ("tail", &["hostel tail 'orders.>'", "hostel tail orders.created -n 1 --json"]),
    ("deploy", &["hostel deploy handler.toml", "hostel deploy hello.wasm --topic greetings.sent --memory 64MiB"]),
    ("undeploy", &["hostel undeploy hello"]),
    ("rollback", &["hostel rollback hello"]),
    ("handlers", &["hostel handlers", "hostel handlers hello --json", "hostel handlers --follow"]),
    ("subscriptions", &["hostel subscriptions", "hostel subscriptions --json"]),
    ("subscriptions drop", &["hostel subscriptions drop 'default/hello:orders.*'"]),
    ("pause", &["hostel pause hello", "hostel pause 'default/hello:orders.*'"]),
    ("resume", &["hostel resume hello"]),
    ("logs", &["hostel logs hello -f", "hostel logs -n 1000 --json"]),
    ("dead-letters", &["hostel dead-letters list", "hostel dead-letters redrive --handler hello"]),
    ("dead-letters list", &["hostel dead-letters list --handler hello --since 1h"]),
    ("dead-letters show", &["hostel dead-letters show 018f2c5e-7a10-7cc3-98c4-5b1d2e3f4a5b"]),
    ("dead-letters redrive", &["hostel dead-letters redrive --all", "hostel dead-letters redrive --topic 'orders.*'"]),
    ("dead-letters edit", &["hostel dead-letters edit 018f2c5e-7a10-7cc3-98c4-5b1d2e3f4a5b --body '{\"order\": 7}'"]),
    ("dead-letters drop", &["hostel dead-letters drop --handler hello --until 30d"]),
    ("replay", &["hostel replay hello --from 2h --rate 100", "hostel replay --list", "hostel replay hello --end"]),
    ("tenants", &["hostel tenants list", "hostel tenants create acme --events 1000 --memory 1GiB"]),
    ("tenants list", &["hostel tenants list --json"]),
    ("tenants show", &["hostel tenants show acme"]),
    ("tenants create", &["hostel tenants create acme", "hostel tenants create acme --file acme.toml"]),
    ("tenants update", &["hostel tenants update acme --handlers 20"]),
    ("tenants delete", &["hostel tenants delete acme --force"]),
    ("tokens", &["hostel tokens create ci --scope deploy --expires-in 90d", "hostel tokens list"]),
    ("tokens create", &["hostel tokens create shop --scope 'publish:orders.>' --tenant acme"]),
    ("tokens list", &["hostel tokens list --operator"]),
    ("tokens revoke", &["hostel tokens revoke 5f3a9c"]),
    ("audit", &["hostel audit", "hostel audit --all --limit 500 --json"]),
    ("peers", &["hostel peers"]),
    ("services", &["hostel services", "hostel services greeter", "hostel services watch"]),
    ("services watch", &["hostel services watch greeter"]),
    ("usage", &["hostel usage --from 7d", "hostel usage --from 30d --csv"]),
    ("doctor", &["hostel doctor", "hostel doctor --config /etc/hostel/hostel.toml --json"]),
    ("explain", &["hostel explain E0012", "hostel explain"]),
    ("completions", &["hostel completions bash > /etc/bash_completion.d/hostel"]),
    ("manual", &["hostel manual | man -l -", "hostel manual /usr/local/share/man/man1"]),
];

/// The definition of the command line with its examples.
pub(crate) fn command() -> Command {
    with_examples(Everything::command(), "")
}

fn with_examples(command: Command, path: &str) -> Command {
    let examples = EXAMPLES.iter().find(|(name, _)| *name == path).map(|(_, examples)| *examples);
    let command = match examples {
        Some(examples) => command.after_long_help(format!("Examples:\n  {}", examples.join("\n  "))),
        None => command,
    };
    command.mut_subcommands(|inner| {
        let path = if path.is_empty() { inner.get_name().to_owned() } else { format!("{path} {}", inner.get_name()) };
        with_examples(inner, &path)
    })
}

/// Writes the manual.
///
/// # Errors
/// When a page cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.folder {
        Some(folder) => {
            let pages = write(folder).map_err(|error| {
                Failure::plain(format!("cannot write manual pages to `{}`: {error}", folder.display()))
            })?;
            output::talk(&format!("wrote {pages} pages to `{}`", folder.display()));
            Ok(())
        }
        None => {
            let mut page = Vec::new();
            let made = clap_mangen::Man::new(command()).render(&mut page);
            made.map_err(|error| Failure::plain(format!("cannot make the manual page: {error}")))?;
            output::data(&String::from_utf8_lossy(&page))
        }
    }
}

/// Every page, named as `man` wants it: `hostel-tokens-create.1`. How many there are.
fn write(folder: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command(), folder)?;
    Ok(counted(&command()))
}

fn counted(command: &Command) -> usize {
    1 + command.get_subcommands().map(counted).sum::<usize>()
}

#[cfg(test)]
mod tests;
