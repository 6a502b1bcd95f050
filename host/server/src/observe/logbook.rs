//! The book of what handlers logged: the newest lines, and a stream for those who follow.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use hostel_event::id::EventId;
use hostel_event::message::Event;
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::outcome::{Attempt, LogLine};
use hostel_event::subscription::SubscriptionId;

/// Lines kept for those who come later. Arbitrary: some screens for each of some hundred handlers.
const LINES: usize = 10_000;
/// Bytes of text kept; bounds the book whatever the lines' lengths.
const BYTES: usize = 8 * 1024 * 1024;
/// Lines that a follower may be behind before it loses some.
const BEHIND: usize = 1024;

/// A line with where it came from. Of the event it has the id only: a line must not keep a body in memory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) event: EventId,
    pub(crate) subscription: SubscriptionId,
    pub(crate) attempt: u32,
    pub(crate) line: LogLine,
}

impl Entry {
    /// Whether it is one that a reader asked for. Lines are those of who runs the handler, whoever published the event.
    pub(crate) fn is_of(&self, tenant: &Tenant, handler: Option<&HandlerName>) -> bool {
        self.subscription.tenant() == tenant.as_str()
            && handler.is_none_or(|handler| self.subscription.handler() == handler.as_str())
    }

    fn bytes(&self) -> usize {
        self.line.text.len() + self.line.context.len()
    }
}

/// See the module's page.
pub(crate) struct LogBook {
    pages: Mutex<Pages>,
    followers: broadcast::Sender<Arc<Entry>>,
}

#[derive(Default)]
struct Pages {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Default for LogBook {
    fn default() -> Self {
        Self { pages: Mutex::default(), followers: broadcast::Sender::new(BEHIND) }
    }
}

impl LogBook {
    /// Writes down what an attempt logged.
    pub(crate) fn write(&self, event: &Event, subscription: &SubscriptionId, attempt: &Attempt) {
        let log = &attempt.report.log;
        let note = log.note(log.lines.last().map_or(attempt.began, |last| last.at));
        if log.lines.is_empty() && note.is_none() {
            return;
        }
        let entry = |line: &LogLine| {
            Arc::new(Entry {
                event: event.id.clone(),
                subscription: subscription.clone(),
                attempt: attempt.number,
                line: line.clone(),
            })
        };
        let entries: Vec<Arc<Entry>> = log.lines.iter().chain(&note).map(entry).collect();
        let mut pages = self.pages.lock();
        // Sent under the lock, so that a follower that also reads the book sees no line twice and misses none. Usually
        // nobody follows; who begins to does so under the lock, too.
        let followed = self.followers.receiver_count() > 0;
        for entry in entries {
            if followed {
                // The last follower may have left in between, which is no error.
                let _ = self.followers.send(Arc::clone(&entry));
            }
            pages.bytes += entry.bytes();
            pages.entries.push_back(entry);
        }
        while pages.entries.len() > LINES || pages.bytes > BYTES {
            let Some(oldest) = pages.entries.pop_front() else { break };
            pages.bytes -= oldest.bytes();
        }
    }

    /// How many lines there are, and bytes of them.
    pub(crate) fn size(&self) -> (usize, usize) {
        let pages = self.pages.lock();
        (pages.entries.len(), pages.bytes)
    }

    /// The newest `limit` lines that a reader asked for, oldest first, and a stream of those that come after them.
    pub(crate) fn read(
        &self,
        tenant: &Tenant,
        handler: Option<&HandlerName>,
        limit: usize,
    ) -> (Vec<Arc<Entry>>, broadcast::Receiver<Arc<Entry>>) {
        let pages = self.pages.lock();
        let wanted = pages.entries.iter().rev().filter(|entry| entry.is_of(tenant, handler));
        let mut entries: Vec<Arc<Entry>> = wanted.take(limit).cloned().collect();
        entries.reverse();
        (entries, self.followers.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use hostel_event::message::Message;
    use hostel_event::name::Version;
    use hostel_event::outcome::{Level, Log, LogSource, Outcome, Report, Usage};
    use hostel_event::pattern::Pattern;
    use hostel_event::time::Timestamp;
    use hostel_event::topic::Topic;

    use super::*;

    fn write(book: &LogBook, tenant: &str, handler: &str, texts: &[&str]) {
        write_cut(book, tenant, handler, (texts, 0));
    }

    fn write_cut(book: &LogBook, tenant: &str, handler: &str, (texts, cut): (&[&str], u64)) {
        let (tenant, handler) = (Tenant::new(tenant).unwrap(), HandlerName::new(handler).unwrap());
        let source = Tenant::new("source").unwrap();
        let subscription = SubscriptionId::imported(&tenant, &handler, &source, &Pattern::new("a").unwrap());
        let event = Event {
            id: EventId::new("1").unwrap(),
            tenant: source,
            topic: Topic::new("a").unwrap(),
            published_at: Timestamp::default(),
            expires_at: None,
            message: Message::default(),
        };
        let line = |text: &&str| LogLine {
            at: Timestamp::default(),
            level: Level::Info,
            source: LogSource::Logging,
            context: String::new(),
            text: (*text).to_owned(),
        };
        let log = Log { lines: texts.iter().map(line).collect(), cut };
        let report = Report { outcome: Outcome::Ack, log, usage: Usage::default() };
        let version = Version::new("1").unwrap();
        book.write(&event, &subscription, &Attempt { number: 1, began: Timestamp::default(), version, report });
    }

    fn read(book: &LogBook, handler: Option<&str>, limit: usize) -> Vec<String> {
        let handler = handler.map(|handler| HandlerName::new(handler).unwrap());
        let (entries, _) = book.read(&Tenant::new("acme").unwrap(), handler.as_ref(), limit);
        entries.iter().map(|entry| entry.line.text.clone()).collect()
    }

    #[test]
    fn the_newest_lines_come_oldest_first() {
        let book = LogBook::default();
        write(&book, "acme", "a", &["1", "2"]);
        write(&book, "rival", "a", &["secret"]);
        write(&book, "acme", "b", &["3"]);
        assert_eq!(read(&book, None, 10), ["1", "2", "3"]);
        assert_eq!(read(&book, None, 2), ["2", "3"]);
        assert_eq!(read(&book, Some("a"), 10), ["1", "2"]);
    }

    #[test]
    fn the_book_is_bounded_in_lines_and_bytes() {
        let book = LogBook::default();
        for _ in 0..LINES {
            write(&book, "acme", "a", &["x"]);
        }
        write(&book, "acme", "a", &["last"]);
        let lines = read(&book, None, usize::MAX);
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.last().unwrap(), "last");
        write(&book, "acme", "a", &[&"y".repeat(BYTES)]);
        assert_eq!(read(&book, None, usize::MAX).len(), 1);
    }

    #[test]
    fn what_was_cut_is_noted() {
        let book = LogBook::default();
        write_cut(&book, "acme", "a", (&["kept"], 3));
        let expected = "3 lines were cut: the handler logged more than `log_lines` and `log_bytes` in `[limits]` allow";
        assert_eq!(read(&book, None, 10), ["kept", expected]);
    }

    #[tokio::test]
    async fn a_follower_gets_what_comes_after_what_it_read() {
        let book = LogBook::default();
        write(&book, "acme", "a", &["before"]);
        let (entries, mut follow) = book.read(&Tenant::new("acme").unwrap(), None, 10);
        write(&book, "acme", "a", &["after"]);
        assert_eq!(entries[0].line.text, "before");
        assert_eq!(follow.recv().await.unwrap().line.text, "after");
    }
}
