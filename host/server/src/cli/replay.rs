//! `hostel replay`: what is kept delivered again to a subscription or a handler, and how far that is.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::num::NonZeroU32;
use std::time::Duration;

use hostel_api::client::{Client, ReplayQuery};
use hostel_api::view::ReplayView;
use tokio::time::Instant;

use super::failure::Failure;
use super::{output, table, text};

/// How often the host is asked how far it is.
const LOOK: Duration = Duration::from_millis(300);
/// How often that is told where it cannot be written over.
const TELL: Duration = Duration::from_secs(5);

/// The flags of `replay`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["from", "list", "end"]))]
pub(crate) struct Arguments {
    /// A subscription's id, such as `default/hello:orders.*`, or a handler's name for all that it has
    #[arg(value_name = "SUBSCRIPTION|HANDLER", required_unless_present = "list")]
    target: Option<String>,
    /// Where to begin: `earliest`, a time such as `2026-01-31T12:00:00Z`, how long ago such as `2h`, an offset, or the id
    /// of an event
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// Where to end, which is no part of it; without it, at what is the newest now
    #[arg(long, value_name = "PLACE", requires = "from", conflicts_with_all = ["list", "end"])]
    to: Option<String>,
    /// At most so many events a second
    #[arg(long, value_name = "N", requires = "from", conflicts_with_all = ["list", "end"])]
    rate: Option<NonZeroU32>,
    /// Do not wait until it is over
    #[arg(long, requires = "from", conflicts_with_all = ["list", "end"])]
    no_wait: bool,
    /// List what is under way
    #[arg(long)]
    list: bool,
    /// End it early
    #[arg(long)]
    end: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Begins, lists or ends.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let target = arguments.target.as_deref();
    match (target, &arguments.from) {
        (Some(target), Some(from)) => begin(client, arguments, (target, from)).await,
        (Some(target), None) if arguments.end => end(client, arguments, target).await,
        (target, _) => list(client, arguments, target).await,
    }
}

async fn list(client: &Client, arguments: &Arguments, target: Option<&str>) -> Result<(), Failure> {
    let replays = match target {
        Some(target) => client.replays_of(target).await?,
        None => client.replays().await?,
    };
    if arguments.json {
        return output::json(&replays);
    }
    if replays.is_empty() {
        output::talk("no replays are under way");
        return Ok(());
    }
    output::data(&listed(&replays))
}

async fn end(client: &Client, arguments: &Arguments, target: &str) -> Result<(), Failure> {
    let ended = client.end_replay(target).await?;
    for one in &ended {
        output::talk(&text::line(&format!("ended the replay to `{}`", one.subscription)));
    }
    if arguments.json { output::json(&ended) } else { Ok(()) }
}

async fn begin(client: &Client, arguments: &Arguments, (target, from): (&str, &str)) -> Result<(), Failure> {
    let rate = arguments.rate.map(NonZeroU32::get);
    let wanted = ReplayQuery { from: from.to_owned(), to: arguments.to.clone(), rate };
    let begun = client.replay(target, &wanted).await?;
    if arguments.json {
        output::json(&begun)?;
    }
    for one in &begun {
        let ReplayView { subscription, next, end, .. } = one;
        output::talk(&text::line(&format!("replaying to `{subscription}`, offsets {next} to {end}")));
    }
    if arguments.no_wait {
        output::talk("it goes on by itself; `hostel replay --list` shows how far it is");
        return Ok(());
    }
    tokio::select! {
        waited = wait(client, target, &begun) => waited,
        _ = tokio::signal::ctrl_c() => {
            output::talk(&format!("\nit goes on; `hostel replay {} --end` ends it", text::line(target)));
            Err(Failure::Said)
        }
    }
}

/// Looks until all of them are over.
async fn wait(client: &Client, target: &str, begun: &[ReplayView]) -> Result<(), Failure> {
    let begins: HashMap<&str, u64> = begun.iter().map(|one| (one.subscription.as_str(), one.next)).collect();
    let (is_terminal, mut told) = (std::io::stderr().is_terminal(), Instant::now());
    loop {
        let mut left = client.replays_of(target).await?;
        left.retain(|one| begins.contains_key(one.subscription.as_str()));
        if left.is_empty() {
            output::talk(if is_terminal { "\r\u{1b}[Kdone" } else { "done" });
            return Ok(());
        }
        let line = progress(&begins, &left);
        if is_terminal {
            output::say(&format!("\r\u{1b}[K{line}"));
        } else if told.elapsed() >= TELL {
            told = Instant::now();
            output::talk(&line);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How far those are that are not over, as one line.
fn progress(begins: &HashMap<&str, u64>, left: &[ReplayView]) -> String {
    let (mut read, mut whole, mut unsettled) = (0, 0, 0);
    for one in left {
        let from = begins.get(one.subscription.as_str()).copied().unwrap_or(one.next);
        read += one.next.saturating_sub(from);
        whole += one.end.saturating_sub(from);
        unsettled += one.unsettled;
    }
    // One that is empty has been read.
    let percent = (read * 100).checked_div(whole).unwrap_or(100);
    format!("{percent} % read, {} not settled yet", text::counted(unsettled, "event"))
}

fn listed(replays: &[ReplayView]) -> String {
    let rows: Vec<_> = replays
        .iter()
        .map(|one| {
            [
                one.subscription.clone(),
                one.next.to_string(),
                one.end.to_string(),
                one.end.saturating_sub(one.next).to_string(),
                one.unsettled.to_string(),
            ]
        })
        .collect();
    table::render(["SUBSCRIPTION", "NEXT", "END", "TO READ", "UNSETTLED"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(next: u64, unsettled: u64) -> ReplayView {
        ReplayView {
            subscription: "default/hello:orders.*".to_owned(),
            handler: "hello".to_owned(),
            next,
            end: 100,
            unsettled,
        }
    }

    #[test]
    fn replays_are_listed() {
        let expected = "\
SUBSCRIPTION            NEXT  END  TO READ  UNSETTLED
default/hello:orders.*    40  100       60          3
";
        assert_eq!(listed(&[replay(40, 3)]), expected);
    }

    #[test]
    fn progress_counts_from_where_it_began() {
        let begins = HashMap::from([("default/hello:orders.*", 20)]);
        assert_eq!(progress(&begins, &[replay(40, 3)]), "25 % read, 3 events not settled yet");
        assert_eq!(progress(&begins, &[replay(100, 1)]), "100 % read, 1 event not settled yet");
        assert_eq!(progress(&HashMap::new(), &[replay(100, 0)]), "100 % read, 0 events not settled yet");
    }
}
