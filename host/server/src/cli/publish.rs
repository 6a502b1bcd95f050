//! `hostel publish`: one message, or each line of a file as one.

mod lines;

use std::path::PathBuf;

use bytes::Bytes;
use hostel_api::client::{Client, Publication};
use hostel_api::unit::Span;
use hostel_api::view::{SettledView, SettlementOutcome, SettlementView};
use tokio::io::AsyncReadExt;

use super::failure::Failure;
use super::{logs, output, text};

/// The flags of `publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to publish, such as `orders.created`
    topic: String,
    /// The body; `-` reads it from standard input; without it, it is empty
    #[arg(conflicts_with_all = ["file", "lines"])]
    body: Option<String>,
    /// Read the body from a file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Publish each line of a file as a message, empty lines left out; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    lines: Option<PathBuf>,
    /// A header of the message; may repeat
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The event's id, instead of one that the host chooses
    #[arg(long, conflicts_with = "lines")]
    id: Option<String>,
    /// Publish it then: a time such as `2026-01-31T12:00:00Z`, or a duration from now such as `5m`
    #[arg(long, value_name = "TIME", conflicts_with = "wait")]
    deliver_at: Option<String>,
    /// Forget it from then on: a time, or a duration from now
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Wait until every subscription is done with it, and tell how it went
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10s", requires = "wait")]
    timeout: Span,
    /// Print JSON; with --lines, a line of it for each message
    #[arg(long)]
    json: bool,
}

/// Publishes. Fails if anything was not published, or was waited for and not acknowledged by all.
pub(crate) async fn run(client: &Client, mut arguments: Arguments) -> Result<(), Failure> {
    let is_later = arguments.deliver_at.is_some();
    let times = [("Hostel-Deliver-At", arguments.deliver_at.take()), ("Hostel-Expires", arguments.expires.take())];
    let times = times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), time?)));
    arguments.headers.extend(times);
    if let Some(path) = &arguments.lines {
        let template = Publication { topic: arguments.topic, headers: arguments.headers, ..Publication::default() };
        let wait = arguments.wait.then_some(arguments.timeout.0);
        return lines::run(client, path, &lines::Plan { template, wait, json: arguments.json }).await;
    }
    let body = read_body(&arguments).await?;
    let Arguments { topic, headers, id, wait, timeout, json, .. } = arguments;
    let publication = typed(Publication { topic, id, headers, body });
    if wait {
        let view = client.publish_and_wait(&publication, timeout.0).await?;
        if json {
            output::json(&view)?;
        } else {
            output::data(&render(&view))?;
        }
        return if is_handled(&view) { Ok(()) } else { Err(Failure::Said) };
    }
    let view = client.publish(&publication).await?;
    if json {
        return output::json(&view);
    }
    output::data(&format!("{}\n", text::line(&view.id)))?;
    if is_later {
        output::talk("kept; it is published when its time comes, for those who hear its topic then");
    } else if view.subscriptions == 0 {
        output::talk(&format!(
            "nobody hears `{}`: `hostel subscriptions` lists who hears what",
            text::line(&view.topic)
        ));
    } else {
        output::talk(&format!("published to {}", text::counted(view.subscriptions, "subscription")));
    }
    Ok(())
}

/// Says of JSON that it is JSON, unless a header says what it is. go-micro's subscribers choose their codec by that, and
/// without it take a body for protobuf.
fn typed(mut publication: Publication) -> Publication {
    let is_told = publication.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let begins = publication.body.iter().find(|byte| !byte.is_ascii_whitespace());
    // A bare word or number is JSON as well, and more often meant as text.
    let looks_like_it = matches!(begins, Some(b'{' | b'['));
    if !is_told && looks_like_it && serde_json::from_slice::<serde::de::IgnoredAny>(&publication.body).is_ok() {
        publication.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    publication
}

async fn read_body(arguments: &Arguments) -> Result<Bytes, Failure> {
    if let Some(path) = &arguments.file {
        return tokio::fs::read(path).await.map(Bytes::from).map_err(|error| Failure::unreadable(path, &error));
    }
    match arguments.body.as_deref() {
        Some("-") => {
            let mut body = Vec::new();
            let read = tokio::io::stdin().read_to_end(&mut body).await;
            read.map_err(|error| Failure::plain(format!("cannot read standard input: {error}")))?;
            Ok(body.into())
        }
        body => Ok(body.unwrap_or_default().to_owned().into()),
    }
}

/// Whether every subscription acknowledged it.
fn is_handled(view: &SettledView) -> bool {
    view.settled && view.subscriptions.iter().all(|one| one.outcome == SettlementOutcome::Ack)
}

fn render(view: &SettledView) -> String {
    let state = match (view.settled, view.subscriptions.is_empty()) {
        (_, true) => "nobody heard it",
        (true, false) => "settled",
        (false, false) => "not settled yet",
    };
    let head = format!("{}  {state}\n", text::line(&view.id));
    view.subscriptions.iter().fold(head, |whole, one| whole + &settlement(one))
}

fn settlement(one: &SettlementView) -> String {
    let outcome = match one.outcome {
        SettlementOutcome::Ack => "ack",
        SettlementOutcome::DeadLetter => "dead letter",
        SettlementOutcome::Discarded => "discarded",
        SettlementOutcome::Expired => "expired",
        SettlementOutcome::Pending => "pending",
    };
    let attempts = text::counted(u64::from(one.attempts), "attempt");
    let reason = one.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let head = text::line(&format!("{}  {outcome}, {attempts}{reason}", one.subscription));
    let log: String = one.log.iter().map(|line| format!("    {}\n", logs::brief(line))).collect();
    let cut = match one.log_cut {
        0 => String::new(),
        cut => format!("    {} cut\n", text::counted(cut, "line")),
    };
    format!("  {head}\n{log}{cut}")
}

pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write it as `Name: value`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use hostel_api::view::LogLineView;

    use super::*;

    fn settled(outcome: SettlementOutcome) -> SettledView {
        SettledView {
            id: "7".to_owned(),
            topic: "orders.created".to_owned(),
            settled: outcome != SettlementOutcome::Pending,
            subscriptions: vec![SettlementView {
                subscription: "default/hello:orders.*".to_owned(),
                handler: "hello".to_owned(),
                outcome,
                reason: (outcome == SettlementOutcome::DeadLetter).then(|| "no `email`\nin it".to_owned()),
                attempts: 1,
                log: vec![LogLineView {
                    at: "2026-01-01T00:00:00.001Z".to_owned(),
                    handler: "hello".to_owned(),
                    subscription: "default/hello:orders.*".to_owned(),
                    event: "7".to_owned(),
                    attempt: 1,
                    level: "info".to_owned(),
                    source: "logging".to_owned(),
                    context: String::new(),
                    text: "hello".to_owned(),
                }],
                log_cut: 0,
            }],
        }
    }

    #[test]
    fn json_is_called_json_and_nothing_else_is() {
        let told = |headers: &[(&str, &str)], body: &'static str| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let publication = Publication { headers, body: body.into(), ..Publication::default() };
            typed(publication).headers.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(told(&[], " {\"a\": 1}"), ["application/json"]);
        assert_eq!(told(&[], "[1]"), ["application/json"]);
        assert_eq!(told(&[("content-type", "text/x")], "{}"), ["text/x"]);
        for body in ["", "hello", "7", "\"text\"", "{not json", "{}{}"] {
            assert!(told(&[], body).is_empty(), "{body}");
        }
    }

    #[test]
    fn how_it_went_is_told_for_each_subscription() {
        let check = |outcome, expected: &str, handled: bool| {
            assert_eq!(render(&settled(outcome)), format!("7  {expected}\n    info  hello\n"));
            assert_eq!(is_handled(&settled(outcome)), handled);
        };
        check(SettlementOutcome::Ack, "settled\n  default/hello:orders.*  ack, 1 attempt", true);
        check(
            SettlementOutcome::DeadLetter,
            "settled\n  default/hello:orders.*  dead letter, 1 attempt: no `email`\\nin it",
            false,
        );
        check(SettlementOutcome::Discarded, "settled\n  default/hello:orders.*  discarded, 1 attempt", false);
        check(SettlementOutcome::Pending, "not settled yet\n  default/hello:orders.*  pending, 1 attempt", false);
        let nobody = SettledView { subscriptions: vec![], ..settled(SettlementOutcome::Ack) };
        assert_eq!(render(&nobody), "7  nobody heard it\n");
    }

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let ok = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header("Content-Type: a:b"), ok("Content-Type", "a:b"));
        assert_eq!(header("a:"), ok("a", ""));
        assert!(header("a").is_err());
        assert!(header(": b").is_err());
    }
}
