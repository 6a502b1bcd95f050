//! `hostel dead-letters`: the events that were given up, and giving them another chance.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hostel_api::client::{Client, ClientError, DeadLetterQuery};
use hostel_api::problem::Code;
use hostel_api::view::{
    AttemptView, BatchView, DeadLetterSummary, DeadLetterView, MessageView, NotDoneView, text_or_base64,
};

use super::failure::Failure;
use super::{logs, output, table, tail, text};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);
/// How many failures are told one by one; the rest are counted.
const TOLD: u64 = 10;

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
    Redrive(ManyArguments),
    /// Deliver one again with another body or other headers
    Edit(EditArguments),
    /// Forget them for good
    Drop(ManyArguments),
}

/// Which ones.
#[derive(Debug, Clone, Default, clap::Args)]
struct FilterArguments {
    /// Those of this handler
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Those of this subscription
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// Those of topics that this pattern hears
    #[arg(long, value_name = "PATTERN")]
    topic: Option<String>,
    /// Those with this text in their reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Those given up then or later: a time such as `2026-01-31T12:00:00Z`, or how long ago such as `1h`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Those given up before
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl FilterArguments {
    fn query(&self) -> DeadLetterQuery {
        let Self { handler, subscription, topic, reason, since, until } = self.clone();
        DeadLetterQuery { handler, subscription, topic, reason, since, until }
    }
}

#[derive(Debug, clap::Args)]
struct EditArguments {
    /// Which
    id: String,
    /// The new body; without it the old one stays
    #[arg(long)]
    body: Option<String>,
    /// Read the new body from a file
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    file: Option<PathBuf>,
    /// A header in the place of all that have its name; may repeat
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = super::publish::header)]
    headers: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// At most this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Those older than this one
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    #[command(flatten)]
    filter: FilterArguments,
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
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "all", "handler", "subscription", "topic", "reason", "since", "until"]))]
struct ManyArguments {
    /// Which
    #[arg(value_name = "ID")]
    #[arg(conflicts_with_all = ["all", "handler", "subscription", "topic", "reason", "since", "until"])]
    ids: Vec<String>,
    /// All that are there now
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArguments,
    /// Print a line of JSON for each
    #[arg(long)]
    json: bool,
}

/// Lists, shows, redrives, edits or drops.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::List(arguments) => list(client, arguments).await,
        Action::Show(arguments) => {
            let letter = client.dead_letter(&arguments.id).await?;
            if arguments.json { output::json(&letter) } else { output::data(&render(&letter)) }
        }
        Action::Redrive(arguments) => {
            let done = Words { did: "redrove", done: "redriven" };
            if arguments.ids.is_empty() {
                let wanted = arguments.filter.query();
                let next = async |cursor: Option<&str>| client.redrive_batch(&wanted, cursor).await;
                return batches(arguments.json, &done, next).await;
            }
            each(arguments, &done, async |id| client.redrive(id).await).await
        }
        Action::Edit(arguments) => edit(client, arguments).await,
        Action::Drop(arguments) => {
            let done = Words { did: "dropped", done: "dropped" };
            if arguments.ids.is_empty() {
                let wanted = arguments.filter.query();
                let next = async |cursor: Option<&str>| client.drop_batch(&wanted, cursor).await;
                return batches(arguments.json, &done, next).await;
            }
            each(arguments, &done, async |id| client.drop_dead_letter(id).await).await
        }
    }
}

async fn list(client: &Client, arguments: &ListArguments) -> Result<(), Failure> {
    let page =
        client.search_dead_letters(&arguments.filter.query(), arguments.limit, arguments.before.as_deref()).await?;
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

/// What is done, as it is told.
struct Words {
    did: &'static str,
    done: &'static str,
}

/// How it goes with many.
struct Tally {
    count: u64,
    failed: u64,
    print: bool,
}

impl Tally {
    const fn new(print: bool) -> Self {
        Self { count: 0, failed: 0, print }
    }

    fn done(&mut self, summary: &DeadLetterSummary) -> Result<(), Failure> {
        self.count += 1;
        if !self.print {
            return Ok(());
        }
        match output::json_line(summary) {
            // Whoever read along has seen enough. It is done to the rest all the same.
            Err(Failure::Closed) => self.print = false,
            printed => printed?,
        }
        Ok(())
    }

    fn failed(&mut self, failure: &Failure) {
        self.failed += 1;
        if self.failed > TOLD {
            return;
        }
        if let Some(text) = failure.render() {
            output::talk(&text);
        }
    }

    fn so_far(&self, Words { did, .. }: &Words) -> String {
        format!("{did} {}", text::counted(self.count, "dead letter"))
    }

    fn end(&self, words: &Words) -> Result<(), Failure> {
        let told = self.so_far(words);
        if self.failed == 0 {
            output::talk(&told);
            return Ok(());
        }
        output::talk(&format!("{told}; {} could not be {} and are kept", self.failed, words.done));
        Err(Failure::Said)
    }
}

/// Does something with each that is named, and says how often it was done.
async fn each(
    arguments: &ManyArguments,
    words: &Words,
    act: impl AsyncFn(&str) -> Result<DeadLetterSummary, ClientError>,
) -> Result<(), Failure> {
    let mut tally = Tally::new(arguments.json);
    for id in &arguments.ids {
        match act(id).await {
            Ok(summary) => tally.done(&summary)?,
            Err(error) => tally.failed(&Failure::from(error)),
        }
    }
    tally.end(words)
}

/// Has the host do it, a batch at a time. `next` asks for the batch at a cursor.
async fn batches(
    json: bool,
    words: &Words,
    next: impl AsyncFn(Option<&str>) -> Result<BatchView, ClientError>,
) -> Result<(), Failure> {
    let (mut tally, mut told) = (Tally::new(json), Instant::now());
    let mut cursor: Option<String> = None;
    loop {
        let batch = match next(cursor.as_deref()).await {
            Ok(batch) => batch,
            Err(error) if tally.count > 0 => {
                output::talk(&format!("{} before it failed", tally.so_far(words)));
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        for summary in &batch.done {
            tally.done(summary)?;
        }
        for NotDoneView { id, code, detail } in batch.failed {
            let code = code.parse().unwrap_or(Code::Internal);
            tally.failed(&Failure::coded(code, format!("dead letter {id}: {detail}")));
        }
        match batch.next {
            None => return tally.end(words),
            Some(next) => cursor = Some(next),
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            output::talk(&format!("{} so far", tally.so_far(words)));
        }
    }
}

async fn edit(client: &Client, arguments: &EditArguments) -> Result<(), Failure> {
    let letter = client.dead_letter(&arguments.id).await?;
    let body = match (&arguments.body, &arguments.file) {
        (Some(body), _) => Some(body.clone().into_bytes()),
        (None, Some(file)) => Some(tokio::fs::read(file).await.map_err(|error| {
            Failure::coded(Code::FileUnreadable, format!("cannot read `{}`: {error}", file.display()))
        })?),
        (None, None) => None,
    };
    let summary = client.redrive_as(&arguments.id, &edited(letter, body, &arguments.headers)).await?;
    output::talk(&format!("redrove dead letter {} with another message", text::line(&summary.id)));
    if arguments.json { output::json(&summary) } else { Ok(()) }
}

/// The message with another body if there is one, and other headers in the place of those of their names.
fn edited(letter: DeadLetterView, body: Option<Vec<u8>>, headers: &[(String, String)]) -> MessageView {
    let event = letter.event;
    let is_replaced = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let mut whole = event.headers;
    whole.retain(|(name, _)| !is_replaced(name));
    whole.extend(headers.iter().cloned());
    let (body, body_base64) = match body {
        Some(body) => text_or_base64(&body),
        None => (event.body, event.body_base64),
    };
    MessageView { headers: whole, body, body_base64 }
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
