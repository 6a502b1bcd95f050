//! `hostel logs`: what handlers logged.

use hostel_api::client::{Client, Item, LogQuery};
use hostel_api::view::LogLineView;

use super::failure::Failure;
use super::{output, text};

/// The flags of `logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Of this handler only
    handler: Option<String>,
    /// Go on with each line as it comes
    #[arg(long, short = 'f')]
    follow: bool,
    /// Begin with this many lines, the newest
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Print each line whole, as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Prints log lines, oldest first.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let query = LogQuery { handler: arguments.handler.clone(), limit: Some(arguments.limit) };
    let print = |line: &LogLineView| {
        if arguments.json { output::json_line(line) } else { output::data(&format!("{}\n", render(line))) }
    };
    if !arguments.follow {
        return client.logs(&query).await?.iter().try_for_each(print);
    }
    let mut lines = client.follow_logs(&query).await?;
    while let Some(item) = lines.next().await {
        match item? {
            Item::Seen(line) => print(&line)?,
            Item::Lost(count) => output::talk(&format!("lost {}: read too slowly", text::counted(count, "line"))),
        }
    }
    Err(Failure::plain("the host ended the stream"))
}

/// A line with all that says where it comes from.
fn render(line: &LogLineView) -> String {
    let LogLineView { at, handler, event, attempt, .. } = line;
    let origin = text::line(&format!("{handler} {event} #{attempt}"));
    format!("{} {origin} {}", text::line(at), brief(line))
}

/// A line without what its surroundings say already: level, context and text.
pub(crate) fn brief(line: &LogLineView) -> String {
    // What was printed has no context; where it was printed stands in its place.
    let context = if line.source == "logging" { &line.context } else { &line.source };
    let separator = if context.is_empty() { "" } else { ": " };
    format!("{:<5} {}{separator}{}", text::line(&line.level), text::line(context), text::line(&line.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_it_comes_from() {
        let check = |source: &str, context: &str, expected: &str| {
            let line = LogLineView {
                at: "2026-01-01T00:00:00.000Z".to_owned(),
                handler: "hello".to_owned(),
                subscription: "default/hello:a".to_owned(),
                event: "7".to_owned(),
                attempt: 2,
                level: "info".to_owned(),
                source: source.to_owned(),
                context: context.to_owned(),
                text: "got\u{1b}[31m it".to_owned(),
            };
            assert_eq!(render(&line), format!("2026-01-01T00:00:00.000Z hello 7 #2 {expected}"));
        };
        check("logging", "", "info  got\\u{1b}[31m it");
        check("logging", "hello::orders", "info  hello::orders: got\\u{1b}[31m it");
        check("stdout", "", "info  stdout: got\\u{1b}[31m it");
    }
}
