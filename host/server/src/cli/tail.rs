//! `hostel tail`: events as they are published.

use std::num::NonZeroU64;

use hostel_api::client::{Client, Item};
use hostel_api::view::EventView;

use super::failure::Failure;
use super::{output, text};

/// The flags of `tail`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which topics; write it in quotes, or the shell takes `>` and `*` for itself
    pattern: String,
    /// End after this many events
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<NonZeroU64>,
    /// Print each event whole, as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Prints events until there were enough of them, or for ever.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let mut events = client.tail(&arguments.pattern).await?;
    output::talk(&format!("listening for `{}`", text::line(&arguments.pattern)));
    let mut left = arguments.count.map(NonZeroU64::get);
    while let Some(item) = events.next().await {
        match item? {
            Item::Lost(count) => output::talk(&format!("lost {}: read too slowly", text::counted(count, "event"))),
            Item::Seen(event) => {
                if arguments.json {
                    output::json_line(&event)?;
                } else {
                    output::data(&render(&event))?;
                }
                left = left.map(|left| left.saturating_sub(1));
            }
        }
        if left == Some(0) {
            return Ok(());
        }
    }
    Err(Failure::plain("the host ended the stream"))
}

fn render(event: &EventView) -> String {
    let EventView { id, topic, published_at, .. } = event;
    format!("{} {} {}  {}\n", text::line(published_at), text::line(topic), text::line(id), body(event))
}

/// The body in one line, or its size if it is not text.
pub(crate) fn body(event: &EventView) -> String {
    match (&event.body, &event.body_base64) {
        (Some(body), _) => text::line(body),
        (None, Some(base64)) => {
            let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
            let bytes = (base64.len() / 4 * 3).saturating_sub(padding);
            format!("({}, not text)", text::counted(bytes as u64, "byte"))
        }
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use hostel_api::view::text_or_base64;

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let check = |bytes: &[u8], expected: &str| {
            let (body, body_base64) = text_or_base64(bytes);
            let event = EventView {
                id: "7".to_owned(),
                topic: "orders.created".to_owned(),
                published_at: "2026-01-01T00:00:00.000Z".to_owned(),
                headers: vec![("a".to_owned(), "b".to_owned())],
                body,
                body_base64,
            };
            assert_eq!(render(&event), format!("2026-01-01T00:00:00.000Z orders.created 7  {expected}\n"));
        };
        check(b"{\n}\x1b", "{\\n}\\u{1b}");
        check(b"\xff", "(1 byte, not text)");
        check(b"\xff\xff", "(2 bytes, not text)");
        check(b"\xff\xff\xff\xff", "(4 bytes, not text)");
    }
}
