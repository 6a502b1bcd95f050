//! `hostel dead-letters`: the events that were given up, and giving them another chance.

use hostel_api::client::Client;
use hostel_api::view::{AttemptView, DeadLetterSummary, DeadLetterView};

use super::failure::Failure;
use super::{logs, output, table, tail, text};

/// How many dead letters are asked for at once when all are wanted. Arbitrary.
const PAGE: usize = 100;

/// The flags of `dead-letters`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them, newest first
    List(ListArguments),
    /// Show one, whole: the event, and every attempt with its reason, log and stack
    Show(ShowArguments),
    /// Deliver them again, attempts counted anew
    Redrive(RedriveArguments),
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// At most this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Those older than this one
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ShowArguments {
    /// Which
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct RedriveArguments {
    /// Which
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All that are there now
    #[arg(long)]
    all: bool,
    /// Print a line of JSON for each
    #[arg(long)]
    json: bool,
}

/// Lists, shows or redrives.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::List(arguments) => list(client, arguments).await,
        Action::Show(arguments) => {
            let letter = client.dead_letter(&arguments.id).await?;
            if arguments.json { output::json(&letter) } else { output::data(&render(&letter)) }
        }
        Action::Redrive(arguments) => redrive(client, arguments).await,
    }
}

async fn list(client: &Client, arguments: &ListArguments) -> Result<(), Failure> {
    let page = client.dead_letters(arguments.limit, arguments.before.as_deref()).await?;
    if arguments.json {
        return output::json(&page);
    }
    if page.items.is_empty() {
        output::talk("no dead letters");
        return Ok(());
    }
    output::data(&summaries(&page.items))?;
    if let Some(next) = page.next {
        output::talk(&format!("there are more: hostel dead-letters list --before {}", text::line(&next)));
    }
    Ok(())
}

async fn redrive(client: &Client, arguments: &RedriveArguments) -> Result<(), Failure> {
    let ids = if arguments.all { every_id(client).await? } else { arguments.ids.clone() };
    let (mut redriven, mut failed, mut print) = (0, 0, arguments.json);
    for id in &ids {
        match client.redrive(id).await {
            Ok(summary) => {
                redriven += 1;
                if print {
                    match output::json_line(&summary) {
                        // Whoever read along has seen enough. The rest is redriven all the same.
                        Err(Failure::Closed) => print = false,
                        printed => printed?,
                    }
                }
            }
            Err(error) => {
                failed += 1;
                if let Some(text) = Failure::from(error).render() {
                    output::talk(&text);
                }
            }
        }
    }
    let redriven = format!("redrove {}", text::counted(redriven, "dead letter"));
    if failed == 0 {
        output::talk(&redriven);
        return Ok(());
    }
    output::talk(&format!("{redriven}; {failed} could not be redriven and are kept"));
    Err(Failure::Said)
}

/// The ids of all that are there now. Taken whole before the first is redriven: what dies again while redriving comes
/// back at the top, and would be redriven without end.
async fn every_id(client: &Client) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let page = client.dead_letters(PAGE, before.as_deref()).await?;
        ids.extend(page.items.into_iter().map(|letter| letter.id));
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    // Oldest first, as they were published.
    ids.reverse();
    Ok(ids)
}

fn summaries(letters: &[DeadLetterSummary]) -> String {
    let rows: Vec<_> = letters
        .iter()
        .map(|letter| {
            [
                letter.id.clone(),
                letter.died_at.clone(),
                letter.handler.clone(),
                letter.topic.clone(),
                letter.attempts.to_string(),
                letter.reason.clone(),
            ]
        })
        .collect();
    table::render(["ID", "DIED", "HANDLER", "TOPIC", "ATTEMPTS", "REASON"], &rows)
}

fn render(letter: &DeadLetterView) -> String {
    let event = &letter.event;
    let mut whole = table::fields(&[
        ("id", letter.id.clone()),
        ("died", letter.died_at.clone()),
        ("handler", letter.handler.clone()),
        ("subscription", letter.subscription.clone()),
        ("reason", letter.reason.clone()),
        ("event", event.id.clone()),
        ("topic", event.topic.clone()),
        ("published", event.published_at.clone()),
    ]);
    if !event.headers.is_empty() {
        whole += "\nheaders\n";
        whole.extend(
            event.headers.iter().map(|(name, value)| format!("  {}: {}\n", text::line(name), text::line(value))),
        );
    }
    whole += "\nbody\n";
    whole += &match &event.body {
        Some(body) => text::indent(body, "  "),
        None => format!("  {}\n", tail::body(event)),
    };
    whole.extend(letter.attempts.iter().map(attempt));
    whole
}

fn attempt(attempt: &AttemptView) -> String {
    let AttemptView { number, began, version, outcome, wall_ms, peak_memory_bytes, .. } = attempt;
    let head = format!("attempt {number}: {outcome} after {wall_ms} ms, version {version}, began {began}");
    let mut whole = format!("\n{}\n", text::line(&head));
    whole += &format!("  peak memory {} KiB\n", peak_memory_bytes.div_ceil(1024));
    if let Some(reason) = &attempt.reason {
        whole += &format!("  reason: {}\n", text::line(reason));
    }
    whole.extend(attempt.log.iter().map(|line| format!("  log: {}\n", logs::brief(line))));
    if attempt.log_cut > 0 {
        whole += &format!("  log: {} cut\n", text::counted(attempt.log_cut, "line"));
    }
    if let Some(stack) = &attempt.stack {
        whole += "  stack:\n";
        whole += &text::indent(stack, "    ");
    }
    whole
}

#[cfg(test)]
mod tests {
    use hostel_api::view::{EventView, LogLineView};

    use super::*;

    #[test]
    fn dead_letters_are_listed() {
        let summary = DeadLetterSummary {
            id: "d1".to_owned(),
            event: "7".to_owned(),
            topic: "orders.created".to_owned(),
            handler: "hello".to_owned(),
            subscription: "default/hello:orders.*".to_owned(),
            reason: "no `email`\nin it".to_owned(),
            attempts: 1,
            died_at: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        let expected = "\
ID  DIED                      HANDLER  TOPIC           ATTEMPTS  REASON
d1  2026-01-01T00:00:00.000Z  hello    orders.created         1  no `email`\\nin it
";
        assert_eq!(summaries(&[summary]), expected);
    }

    fn trapped() -> AttemptView {
        AttemptView {
            number: 1,
            began: "2026-01-01T00:00:00.000Z".to_owned(),
            version: "0.1.0".to_owned(),
            outcome: "trap".to_owned(),
            reason: Some("unreachable executed".to_owned()),
            stack: Some("hello::inner\nhello::handle".to_owned()),
            log: vec![LogLineView {
                at: "2026-01-01T00:00:00.001Z".to_owned(),
                handler: "hello".to_owned(),
                subscription: "default/hello:orders.*".to_owned(),
                event: "7".to_owned(),
                attempt: 1,
                level: "error".to_owned(),
                source: "stderr".to_owned(),
                context: String::new(),
                text: "panicked".to_owned(),
            }],
            log_cut: 2,
            wall_ms: 12,
            peak_memory_bytes: 1_114_112,
        }
    }

    #[test]
    fn a_dead_letter_is_shown_whole() {
        let letter = DeadLetterView {
            id: "d1".to_owned(),
            handler: "hello".to_owned(),
            subscription: "default/hello:orders.*".to_owned(),
            reason: "attempts used up: unreachable executed".to_owned(),
            died_at: "2026-01-01T00:00:00.000Z".to_owned(),
            event: EventView {
                id: "7".to_owned(),
                topic: "orders.created".to_owned(),
                published_at: "2026-01-01T00:00:00.000Z".to_owned(),
                headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
                body: Some("one\ntwo\u{1b}".to_owned()),
                body_base64: None,
            },
            attempts: vec![
                trapped(),
                AttemptView { number: 2, reason: None, stack: None, log: vec![], log_cut: 0, ..trapped() },
            ],
        };
        let expected = "\
id            d1
died          2026-01-01T00:00:00.000Z
handler       hello
subscription  default/hello:orders.*
reason        attempts used up: unreachable executed
event         7
topic         orders.created
published     2026-01-01T00:00:00.000Z

headers
  Content-Type: text/plain

body
  one
  two\\u{1b}

attempt 1: trap after 12 ms, version 0.1.0, began 2026-01-01T00:00:00.000Z
  peak memory 1088 KiB
  reason: unreachable executed
  log: error stderr: panicked
  log: 2 lines cut
  stack:
    hello::inner
    hello::handle

attempt 2: trap after 12 ms, version 0.1.0, began 2026-01-01T00:00:00.000Z
  peak memory 1088 KiB
";
        assert_eq!(render(&letter), expected);
    }
}
