//! What handlers use and tenants publish, counted where it happens.
//!
//! The counts since the start go to `/metrics`; those of each hour are taken out by [`usage`](super::usage), which keeps
//! them. Counting takes a lock of the one handler that it is about, for as long as a few additions take.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use hostel_event::message::Event;
use hostel_event::name::Tenant;
use hostel_event::outcome::{Attempt, Outcome};
use hostel_event::port::{Clock, Settled};
use hostel_event::subscription::SubscriptionId;
use hostel_event::time::Timestamp;

/// The outcomes of an attempt, as their words.
pub(crate) const OUTCOMES: [&str; 10] =
    ["ack", "retry", "reject", "trap", "deadline", "memory", "stack", "exit", "contract", "host"];

/// Upper bounds of how long attempts took: half a millisecond, which a fresh instance takes, to the longest deadlines.
pub(crate) const BOUNDS: [Duration; 14] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Handlers and tenants that are remembered though nothing was heard of them for a minute. Arbitrary: twice as many as a
/// host is meant for.
const REMEMBERED: usize = 20_000;
/// How often usage is taken in a minute, and in a day, at most.
const MINUTE: u32 = 12;
const DAY: u32 = 17_280;

/// An hour, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Hour(pub(crate) u64);

impl Hour {
    const MILLIS: u64 = 60 * 60 * 1000;

    pub(crate) const fn of(time: Timestamp) -> Self {
        Self(time.as_millis() / Self::MILLIS)
    }

    /// When it begins.
    pub(crate) const fn begin(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(Self::MILLIS))
    }
}

/// What was used, summed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sums {
    /// Events that were acknowledged, given up, and expired before their turn.
    pub(crate) acked: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) expired: u64,
    /// Attempts, by how they ended.
    pub(crate) attempts: u64,
    pub(crate) retries: u64,
    pub(crate) rejects: u64,
    pub(crate) faults: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// The most of any attempt.
    pub(crate) peak_memory: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) calls: u64,
}

impl Sums {
    fn attempted(&mut self, attempt: &Attempt) {
        let usage = &attempt.report.usage;
        self.attempts += 1;
        match &attempt.report.outcome {
            Outcome::Ack => {}
            Outcome::Retry { .. } => self.retries += 1,
            Outcome::Reject { .. } => self.rejects += 1,
            Outcome::Fault(_) => self.faults += 1,
        }
        self.wall = self.wall.saturating_add(usage.wall);
        self.cpu = self.cpu.saturating_add(usage.cpu);
        self.peak_memory = self.peak_memory.max(u64::try_from(usage.peak_memory).unwrap_or(u64::MAX));
        self.bytes_in = self.bytes_in.saturating_add(usage.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(usage.bytes_out);
        self.calls = self.calls.saturating_add(u64::from(usage.calls));
    }

    fn settled(&mut self, settled: &Settled) {
        match settled {
            Settled::Ack => self.acked += 1,
            Settled::DeadLetter { .. } => self.dead_lettered += 1,
            Settled::Expired => self.expired += 1,
            Settled::Discarded => {}
        }
    }

    /// Adds what was used elsewhere, or at another time.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.acked, other.acked),
            (&mut self.dead_lettered, other.dead_lettered),
            (&mut self.expired, other.expired),
            (&mut self.attempts, other.attempts),
            (&mut self.retries, other.retries),
            (&mut self.rejects, other.rejects),
            (&mut self.faults, other.faults),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.calls, other.calls),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.wall = self.wall.saturating_add(other.wall);
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.peak_memory = self.peak_memory.max(other.peak_memory);
    }
}

/// A handler since the host started.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandlerCounts {
    pub(crate) tenant: String,
    pub(crate) handler: String,
    pub(crate) sums: Sums,
    /// Attempts, in the order of [`OUTCOMES`].
    pub(crate) outcomes: [u64; OUTCOMES.len()],
    /// Attempts that took no longer than the bound, and longer than the one before, in the order of [`BOUNDS`].
    pub(crate) durations: [u64; BOUNDS.len()],
    /// Lines that were logged, and those that were cut.
    pub(crate) log_lines: u64,
    pub(crate) log_cut: u64,
}

/// A tenant since the host started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantCounts {
    pub(crate) tenant: Tenant,
    pub(crate) published: u64,
    pub(crate) published_bytes: u64,
    /// Messages that were refused for lack of room.
    pub(crate) overloaded: u64,
}

/// What a handler used in an hour, or in a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) tenant: String,
    pub(crate) handler: String,
    pub(crate) hour: Hour,
    pub(crate) sums: Sums,
}

/// See the module's page.
pub(crate) struct Meter {
    clock: Arc<dyn Clock>,
    /// By what the ids of a handler's subscriptions have before the pattern: `tenant/handler`.
    handlers: RwLock<HashMap<Box<str>, Arc<Mutex<Account>>>>,
    tenants: RwLock<HashMap<Tenant, Published>>,
}

#[derive(Default)]
struct Account {
    counts: HandlerCounts,
    /// What was not taken yet: one hour, or two when one has just begun.
    open: Vec<(Hour, Sums)>,
    /// How often it was found idle, one time after the other.
    idle: u32,
}

#[derive(Default)]
struct Published {
    events: AtomicU64,
    bytes: AtomicU64,
    overloaded: AtomicU64,
    /// As many events and refusals as there were when it was last looked at; how often that was so.
    seen: AtomicU64,
    idle: AtomicU64,
}

impl Meter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, handlers: RwLock::default(), tenants: RwLock::default() }
    }

    pub(crate) fn published(&self, event: &Event) {
        self.of_tenant(&event.tenant, |published| {
            published.events.fetch_add(1, Ordering::Relaxed);
            published.bytes.fetch_add(u64::try_from(event.bytes()).unwrap_or(u64::MAX), Ordering::Relaxed);
        });
    }

    pub(crate) fn refused(&self, tenant: &Tenant) {
        self.of_tenant(tenant, |published| {
            published.overloaded.fetch_add(1, Ordering::Relaxed);
        });
    }

    pub(crate) fn attempted(&self, subscription: &SubscriptionId, attempt: &Attempt) {
        let outcome = attempt.report.outcome.as_str();
        let log = &attempt.report.log;
        self.count(subscription, |counts, sums| {
            let mut outcomes = counts.outcomes.iter_mut().zip(OUTCOMES);
            if let Some((count, _)) = outcomes.find(|(_, known)| *known == outcome) {
                *count += 1;
            }
            let mut durations = counts.durations.iter_mut().zip(BOUNDS);
            if let Some((count, _)) = durations.find(|(_, bound)| attempt.report.usage.wall <= *bound) {
                *count += 1;
            }
            counts.log_lines += u64::try_from(log.lines.len()).unwrap_or(u64::MAX);
            counts.log_cut = counts.log_cut.saturating_add(log.cut);
            counts.sums.attempted(attempt);
            sums.attempted(attempt);
        });
    }

    pub(crate) fn settled(&self, subscription: &SubscriptionId, settled: &Settled) {
        self.count(subscription, |counts, sums| {
            counts.sums.settled(settled);
            sums.settled(settled);
        });
    }

    /// Every handler that ran.
    pub(crate) fn handlers(&self) -> Vec<HandlerCounts> {
        let accounts: Vec<_> = self.handlers.read().values().map(Arc::clone).collect();
        let mut handlers: Vec<_> = accounts.iter().map(|account| account.lock().counts.clone()).collect();
        handlers.sort_unstable_by(|a, b| (&a.tenant, &a.handler).cmp(&(&b.tenant, &b.handler)));
        handlers
    }

    /// Every tenant that published.
    pub(crate) fn tenants(&self) -> Vec<TenantCounts> {
        let tenants = self.tenants.read();
        let counts = |(tenant, published): (&Tenant, &Published)| TenantCounts {
            tenant: tenant.clone(),
            published: published.events.load(Ordering::Relaxed),
            published_bytes: published.bytes.load(Ordering::Relaxed),
            overloaded: published.overloaded.load(Ordering::Relaxed),
        };
        tenants.iter().map(counts).collect()
    }

    /// Takes what was used since it was last asked. Forgets who was idle all day, or for a minute where there are many.
    pub(crate) fn take(&self) -> Vec<Used> {
        let accounts: Vec<_> = self.handlers.read().values().map(Arc::clone).collect();
        let mut used = Vec::new();
        let (mut idlest, patience) = (0, if accounts.len() > REMEMBERED { MINUTE } else { DAY });
        for account in accounts {
            let mut account = account.lock();
            account.idle = if account.open.is_empty() { account.idle.saturating_add(1) } else { 0 };
            idlest = idlest.max(account.idle);
            let open = std::mem::take(&mut account.open);
            let HandlerCounts { tenant, handler, .. } = &account.counts;
            used.extend(open.into_iter().map(|(hour, sums)| Used {
                tenant: tenant.clone(),
                handler: handler.clone(),
                hour,
                sums,
            }));
        }
        if idlest > patience {
            // Who counts holds the map's lock, so that nobody counts in an account that is no longer in it.
            self.handlers.write().retain(|_, account| {
                let account = account.lock();
                account.idle <= patience || !account.open.is_empty()
            });
        }
        self.forget_tenants();
        used
    }

    fn forget_tenants(&self) {
        let patience = u64::from(if self.tenants.read().len() > REMEMBERED { MINUTE } else { DAY });
        let mut some = false;
        for published in self.tenants.read().values() {
            let count = published.events.load(Ordering::Relaxed) + published.overloaded.load(Ordering::Relaxed);
            if published.seen.swap(count, Ordering::Relaxed) == count {
                some |= published.idle.fetch_add(1, Ordering::Relaxed) > patience;
            } else {
                published.idle.store(0, Ordering::Relaxed);
            }
        }
        if some {
            self.tenants.write().retain(|_, published| *published.idle.get_mut() <= patience);
        }
    }

    fn of_tenant(&self, tenant: &Tenant, count: impl FnOnce(&Published)) {
        // Under the map's lock, so that not even the number of those who hold the counts changes hands between cores.
        if let Some(published) = self.tenants.read().get(tenant) {
            return count(published);
        }
        count(self.tenants.write().entry(tenant.clone()).or_default());
    }

    fn count(&self, subscription: &SubscriptionId, count: impl FnOnce(&mut HandlerCounts, &mut Sums)) {
        // What goes to other hosts is nobody's use of this one; the network counts it.
        let Some((key, _)) = subscription.as_str().split_once(':') else { return };
        if subscription.handler().starts_with('@') {
            return;
        }
        let hour = Hour::of(self.clock.wall());
        if let Some(account) = self.handlers.read().get(key) {
            return account.lock().count(hour, count);
        }
        let account = || {
            let (tenant, handler) = (subscription.tenant().to_owned(), subscription.handler().to_owned());
            let counts = HandlerCounts { tenant, handler, ..HandlerCounts::default() };
            Arc::new(Mutex::new(Account { counts, ..Account::default() }))
        };
        self.handlers.write().entry(key.into()).or_insert_with(account).lock().count(hour, count);
    }
}

impl Account {
    fn count(&mut self, hour: Hour, count: impl FnOnce(&mut HandlerCounts, &mut Sums)) {
        if self.open.last().is_none_or(|(last, _)| *last != hour) {
            self.open.push((hour, Sums::default()));
        }
        if let Some((_, sums)) = self.open.last_mut() {
            count(&mut self.counts, sums);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use hostel_event::id::EventId;
    use hostel_event::message::Message;
    use hostel_event::name::{HandlerName, Version};
    use hostel_event::outcome::{Fault, FaultKind, Log, Report, Usage};
    use hostel_event::pattern::Pattern;
    use hostel_event::time::Moment;
    use hostel_event::topic::Topic;

    use super::*;

    /// A clock that is set.
    #[derive(Default)]
    pub(crate) struct Hand(pub(crate) AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Moment {
            Moment::new(Duration::from_millis(self.0.load(Ordering::Relaxed)))
        }

        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    pub(crate) fn subscription(tenant: &str, handler: &str, pattern: &str) -> SubscriptionId {
        let (tenant, handler) = (Tenant::new(tenant).unwrap(), HandlerName::new(handler).unwrap());
        SubscriptionId::new(&tenant, &handler, &Pattern::new(pattern).unwrap())
    }

    pub(crate) fn attempt(outcome: Outcome, wall: Duration) -> Attempt {
        let usage = Usage { wall, cpu: wall / 2, peak_memory: 65_536, bytes_in: 10, bytes_out: 20, calls: 1 };
        let report = Report { outcome, log: Log { lines: Vec::new(), cut: 2 }, usage };
        Attempt { number: 1, began: Timestamp::default(), version: Version::new("1").unwrap(), report }
    }

    pub(crate) fn event(tenant: &str) -> Event {
        Event {
            id: EventId::new("1").unwrap(),
            tenant: Tenant::new(tenant).unwrap(),
            topic: Topic::new("a").unwrap(),
            published_at: Timestamp::default(),
            expires_at: None,
            message: Message::default(),
        }
    }

    fn fault(kind: FaultKind) -> Outcome {
        Outcome::Fault(Fault { kind, message: String::new(), stack: None })
    }

    #[test]
    fn attempts_are_counted_by_handler_outcome_and_duration() {
        let meter = Meter::new(Arc::<Hand>::default());
        let (one, other) = (subscription("acme", "h", "a"), subscription("acme", "h", "b.>"));
        meter.attempted(&one, &attempt(Outcome::Ack, Duration::from_millis(1)));
        meter.attempted(&other, &attempt(fault(FaultKind::Trap), Duration::from_secs(60)));
        meter.settled(&one, &Settled::Ack);
        meter.settled(&other, &Settled::Discarded);
        let [counts] = &meter.handlers()[..] else { panic!("one handler has both") };
        assert_eq!((counts.outcomes[0], counts.outcomes[3], counts.outcomes.iter().sum::<u64>()), (1, 1, 2));
        assert_eq!(
            (counts.durations[1], counts.durations.iter().sum::<u64>()),
            (1, 1),
            "one took longer than any bound"
        );
        let expected = Sums {
            acked: 1,
            attempts: 2,
            faults: 1,
            wall: Duration::from_millis(60_001),
            cpu: Duration::from_micros(30_000_500),
            peak_memory: 65_536,
            bytes_in: 20,
            bytes_out: 40,
            calls: 2,
            ..Sums::default()
        };
        assert_eq!((&counts.sums, counts.log_cut), (&expected, 4));
    }

    #[test]
    fn every_outcome_has_its_place() {
        let meter = Meter::new(Arc::<Hand>::default());
        let kinds = [
            FaultKind::Trap,
            FaultKind::Deadline,
            FaultKind::Memory,
            FaultKind::Stack,
            FaultKind::Exit,
            FaultKind::Contract,
            FaultKind::Host,
        ];
        let words = [
            Outcome::Ack,
            Outcome::Retry { reason: String::new(), after: None },
            Outcome::Reject { reason: String::new() },
        ];
        for outcome in words.into_iter().chain(kinds.map(fault)) {
            meter.attempted(&subscription("acme", "h", "a"), &attempt(outcome, Duration::ZERO));
        }
        assert_eq!(meter.handlers()[0].outcomes, [1; OUTCOMES.len()]);
    }

    #[test]
    fn what_was_used_is_taken_by_the_hour_and_once() {
        let clock = Arc::new(Hand::default());
        let meter = Meter::new(Arc::<Hand>::clone(&clock));
        let id = subscription("acme", "h", "a");
        for hour in [7, 7, 8] {
            clock.0.store(hour * 3_600_000 + 5, Ordering::Relaxed);
            meter.attempted(&id, &attempt(Outcome::Ack, Duration::ZERO));
        }
        let taken: Vec<_> = meter.take().into_iter().map(|used| (used.hour, used.sums.attempts)).collect();
        assert_eq!(taken, [(Hour(7), 2), (Hour(8), 1)]);
        assert_eq!(meter.take(), []);
        assert_eq!(meter.handlers()[0].sums.attempts, 3, "what was taken still counts since the start");
    }

    #[test]
    fn whoever_is_idle_for_a_day_is_forgotten() {
        let meter = Meter::new(Arc::<Hand>::default());
        meter.attempted(&subscription("acme", "h", "a"), &attempt(Outcome::Ack, Duration::ZERO));
        meter.published(&event("acme"));
        for _ in 0..=DAY {
            meter.take();
        }
        assert_eq!((meter.handlers().len(), meter.tenants().len()), (1, 1));
        for _ in 0..3 {
            meter.take();
        }
        assert_eq!((meter.handlers().len(), meter.tenants().len()), (0, 0));
    }

    #[test]
    fn what_goes_to_other_hosts_is_not_counted_here() {
        let meter = Meter::new(Arc::<Hand>::default());
        let remote = SubscriptionId::remote(&Tenant::new("acme").unwrap(), "group", &Pattern::new("a").unwrap());
        meter.settled(&remote, &Settled::Ack);
        assert!(meter.handlers().is_empty());
    }
}
