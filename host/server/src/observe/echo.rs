//! What handlers log, once more in the host's own log, for those who collect what programs write.
//!
//! A thread of its own writes it: whoever reads our stderr may stop reading, and then only that thread waits. What does not
//! fit into its queue is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use hostel_event::id::EventId;
use hostel_event::message::Event;
use hostel_event::outcome::{Attempt, LogLine};
use hostel_event::subscription::SubscriptionId;

use crate::telemetry;

/// Attempts whose lines wait to be written. Arbitrary: a moment of a busy host.
const QUEUE: usize = 4_096;
/// Bytes of text that wait, whatever the number of attempts.
const BYTES: usize = 8 * 1024 * 1024;
/// How long the end of the host waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one attempt logged. Of the event it has the id only: it must not keep a body in memory.
struct Said {
    event: EventId,
    subscription: SubscriptionId,
    attempt: u32,
    lines: Vec<LogLine>,
}

impl Said {
    fn bytes(&self) -> usize {
        self.lines.iter().map(|line| line.text.len() + line.context.len()).sum()
    }
}

/// What the thread and those who hand it lines both see.
#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    /// Lines.
    dropped: AtomicU64,
}

/// See the module's page.
pub(crate) struct Echo {
    /// `None` once it has ended.
    queue: Mutex<Option<SyncSender<Said>>>,
    waiting: Arc<Waiting>,
    thread: Mutex<Option<(JoinHandle<()>, oneshot::Receiver<()>)>>,
}

impl Echo {
    /// Begins to write. [`close`](Self::close) ends it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (queue, said) = sync_channel(QUEUE);
        let (ends, ended) = oneshot::channel();
        let waiting = Arc::<Waiting>::default();
        let seen = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("hostel-echo".to_owned()).spawn(move || {
            write(&said, &seen);
            // Nobody may wait for it any more.
            let _ = ends.send(());
        })?;
        Ok(Self { queue: Mutex::new(Some(queue)), waiting, thread: Mutex::new(Some((thread, ended))) })
    }

    /// Has the lines of an attempt written. Never waits.
    pub(crate) fn say(&self, event: &Event, subscription: &SubscriptionId, attempt: &Attempt) {
        let log = &attempt.report.log;
        let lines: Vec<LogLine> = log.lines.iter().cloned().chain(log.note(attempt.began)).collect();
        if lines.is_empty() {
            return;
        }
        let (event, subscription) = (event.id.clone(), subscription.clone());
        let said = Said { event, subscription, attempt: attempt.number, lines };
        let (bytes, count) = (said.bytes(), said.lines.len() as u64);
        let queue = self.queue.lock();
        let before = self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = before < BYTES && queue.as_ref().is_some_and(|queue| queue.try_send(said).is_ok());
        if !taken {
            self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.waiting.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Writes what waits, as long as that takes no more than some seconds, and ends. Cancelling leaves the rest unwritten.
    pub(crate) async fn close(&self) {
        drop(self.queue.lock().take());
        let Some((thread, ended)) = self.thread.lock().take() else { return };
        // A thread that cannot write for want of a reader is left behind: the process ends.
        if tokio::time::timeout(PATIENCE, ended).await.is_ok() {
            // A panic in it was told already.
            let _ = thread.join();
        }
    }
}

/// Writes until nobody hands in anything any more.
fn write(said: &Receiver<Said>, waiting: &Waiting) {
    let mut told = 0;
    while let Ok(said) = said.recv() {
        waiting.bytes.fetch_sub(said.bytes(), Ordering::Relaxed);
        for line in &said.lines {
            telemetry::handler_logged((&said.event, &said.subscription, said.attempt), line);
        }
        let dropped = waiting.dropped.load(Ordering::Relaxed);
        // The first, and then as their number doubles.
        if dropped > told * 2 {
            telemetry::handlers_lines_dropped(dropped);
            told = dropped;
        }
    }
}

#[cfg(test)]
mod tests {
    use hostel_event::message::Message;
    use hostel_event::name::{HandlerName, Tenant, Version};
    use hostel_event::outcome::{Level, Log, LogSource, Outcome, Report, Usage};
    use hostel_event::pattern::Pattern;
    use hostel_event::time::Timestamp;
    use hostel_event::topic::Topic;

    use super::*;

    /// An echo whose thread never writes, and what is handed to it.
    fn stalled() -> (Echo, Receiver<Said>) {
        let (queue, said) = sync_channel(QUEUE);
        (Echo { queue: Mutex::new(Some(queue)), waiting: Arc::default(), thread: Mutex::new(None) }, said)
    }

    fn say(echo: &Echo, text: &str) {
        let (tenant, handler) = (Tenant::new("acme").unwrap(), HandlerName::new("a").unwrap());
        let event = Event {
            id: EventId::new("1").unwrap(),
            tenant: tenant.clone(),
            topic: Topic::new("a").unwrap(),
            published_at: Timestamp::default(),
            expires_at: None,
            message: Message::default(),
        };
        let (level, source) = (Level::Info, LogSource::Logging);
        let line = LogLine { at: Timestamp::default(), level, source, context: String::new(), text: text.to_owned() };
        let log = Log { lines: vec![line], cut: 0 };
        let report = Report { outcome: Outcome::Ack, log, usage: Usage::default() };
        let version = Version::new("1").unwrap();
        let attempt = Attempt { number: 1, began: Timestamp::default(), version, report };
        echo.say(&event, &SubscriptionId::new(&tenant, &handler, &Pattern::new("a").unwrap()), &attempt);
    }

    #[test]
    fn nobody_waits_for_who_does_not_read() {
        let (echo, said) = stalled();
        for _ in 0..QUEUE + 7 {
            say(&echo, "x");
        }
        assert_eq!(said.try_iter().count(), QUEUE);
        assert_eq!(echo.waiting.dropped.load(Ordering::Relaxed), 7);
        assert_eq!(echo.waiting.bytes.load(Ordering::Relaxed), QUEUE, "what was dropped does not wait");
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let (echo, said) = stalled();
        let long = "x".repeat(BYTES / 2 + 1);
        for _ in 0..5 {
            say(&echo, &long);
        }
        assert_eq!((said.try_iter().count(), echo.waiting.dropped.load(Ordering::Relaxed)), (2, 3));
    }

    #[tokio::test]
    async fn after_its_end_lines_are_dropped() {
        let echo = Echo::start().unwrap();
        say(&echo, "x");
        echo.close().await;
        say(&echo, "y");
        assert_eq!(echo.waiting.dropped.load(Ordering::Relaxed), 1);
    }
}
