//! From the host's words to the API's: plain conversions, no decisions.

use hostel_api::change::ChangeView;
use hostel_api::manifest;
use hostel_api::time::rfc3339;
use hostel_api::unit::{ByteSize, Span};
use hostel_api::view::{
    AttemptView, ComponentView, DeadLetterSummary, DeadLetterView, EventView, HandlerView, LogLineView, PauseBy,
    PauseView, ReplayView, SettlementOutcome, SettlementView, SubscriptionView, text_or_base64,
};
use hostel_broker::durable::Orphan;
use hostel_dispatch::driver::State;
use hostel_event::dead_letter::DeadLetter;
use hostel_event::id::EventId;
use hostel_event::message::Event;
use hostel_event::outcome::{Attempt, LogLine, LogSource};
use hostel_event::port::{Pause, PausedBy, Replaying, Settled, Start};
use hostel_event::subscription::{Order, Subscription, SubscriptionId};
use hostel_runtime::Component;

use crate::deploy::{Deployment, Failed};
use crate::observe::changes::Change;
use crate::observe::logbook::Entry;
use crate::observe::waiters::Progress;

/// As many as fit: no count here comes near the limit of its wire type.
fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub(crate) fn component(component: &Component, known: bool) -> ComponentView {
    ComponentView {
        digest: format!("sha256:{}", component.digest()),
        bytes: number(component.bytes()),
        world: component.world().to_string(),
        known,
        took: Vec::new(),
    }
}

pub(crate) fn change(change: &Change) -> ChangeView {
    let (version, component) = change.version.clone().unzip();
    ChangeView {
        at: rfc3339(change.at.as_millis()),
        change: change.kind,
        handler: change.handler.clone(),
        version,
        component,
        subscription: change.subscription.clone(),
        reason: change.reason.clone(),
    }
}

pub(crate) fn handler(deployment: &Deployment) -> HandlerView {
    let handler = &deployment.handler;
    HandlerView {
        name: handler.name.to_string(),
        version: handler.version.to_string(),
        component: format!("sha256:{}", handler.digest),
        world: deployment.world.to_string(),
        deployed_at: rfc3339(deployment.deployed_at.as_millis()),
        subscriptions: handler.subscriptions.iter().map(written).collect(),
        publish: handler.grants.publish.iter().map(ToString::to_string).collect(),
        files: handler.grants.files.map(|digest| format!("sha256:{digest}")),
        reuse: Some(handler.reuse).filter(|events| events.get() > 1),
        limits: manifest::Limits {
            memory: Some(ByteSize(number(handler.limits.memory))),
            deadline: Some(Span(handler.limits.deadline)),
            cpu_time: handler.limits.cpu_time.map(Span),
            log_lines: Some(small(handler.limits.log_lines)),
            log_bytes: Some(ByteSize(number(handler.limits.log_bytes))),
            published_events: Some(small(handler.limits.published_events)),
            published_bytes: Some(ByteSize(number(handler.limits.published_bytes))),
        },
        config: handler.grants.config.keys().cloned().collect(),
        secrets: handler.grants.secrets.iter().cloned().collect(),
        denied: deployment.guest.denied(),
        ended: deployment.ended(),
        failed: None,
        refused: None,
    }
}

/// A handler that should run and does not, as far as it is known.
pub(crate) fn failed(failed: &Failed) -> HandlerView {
    let manifest = failed.deployed.as_ref().map(|(manifest, _)| manifest);
    let deployed_at = failed.deployed.as_ref().map(|(_, at)| rfc3339(at.as_millis()));
    HandlerView {
        name: failed.name.to_string(),
        version: manifest.map(|manifest| manifest.version.clone()).unwrap_or_default(),
        component: manifest.map(|manifest| manifest.component.clone()).unwrap_or_default(),
        world: String::new(),
        deployed_at: deployed_at.unwrap_or_default(),
        subscriptions: manifest.map(|manifest| manifest.subscriptions.clone()).unwrap_or_default(),
        publish: manifest.map(|manifest| manifest.publish.clone()).unwrap_or_default(),
        files: manifest.and_then(|manifest| manifest.files.clone()),
        reuse: manifest.and_then(|manifest| manifest.reuse),
        limits: manifest.map(|manifest| manifest.limits.clone()).unwrap_or_default(),
        config: manifest.map(|manifest| manifest.config.0.keys().cloned().collect()).unwrap_or_default(),
        secrets: manifest.map(|manifest| manifest.secrets.clone()).unwrap_or_default(),
        denied: 0,
        ended: Vec::new(),
        failed: Some(failed.reason.clone()),
        refused: None,
    }
}

/// A subscription as a manifest would write it, defaults filled in.
fn written(subscription: &Subscription) -> manifest::Subscription {
    manifest::Subscription {
        pattern: subscription.pattern.to_string(),
        from: subscription.is_imported().then(|| subscription.source.to_string()),
        queue: subscription.queue.as_ref().map(ToString::to_string),
        concurrency: std::num::NonZeroU32::new(small(subscription.concurrency)),
        window: std::num::NonZeroU32::new(small(subscription.window)),
        retry: manifest::Retry {
            attempts: std::num::NonZeroU32::new(subscription.retry.attempts),
            backoff: Some(Span(subscription.retry.backoff)),
            backoff_limit: Some(Span(subscription.retry.backoff_limit)),
        },
        order_by: match &subscription.order {
            Order::None => None,
            Order::Header(name) => Some(format!("header:{name}")),
        },
        quarantine: manifest::Quarantine {
            faults: Some(subscription.quarantine.faults),
            window: Some(Span(subscription.quarantine.window)),
        },
        start: Some(match subscription.start {
            Start::Earliest => "earliest".to_owned(),
            Start::Time(time) => rfc3339(time.as_millis()),
            // No manifest asks for an offset.
            Start::Latest | Start::Offset(_) => "latest".to_owned(),
        }),
    }
}

pub(crate) fn subscription(state: &State, unsettled: Option<usize>) -> SubscriptionView {
    let State { subscription, load, counts, pause } = state;
    // What the broker has not handed out, or keeps until another attempt is due, waits as well.
    let here = load.waiting + load.running + load.sleeping;
    let waiting = load.waiting + unsettled.map_or(0, |unsettled| unsettled.saturating_sub(here));
    SubscriptionView {
        id: subscription.id.to_string(),
        handler: subscription.id.handler().to_owned(),
        pattern: subscription.pattern.to_string(),
        queue: subscription.queue.as_ref().map(ToString::to_string),
        waiting: number(waiting),
        running: number(load.running),
        sleeping: number(load.sleeping),
        delivered: counts.started,
        acked: counts.acked,
        retried: counts.retried,
        dead_lettered: counts.dead_lettered,
        expired: counts.expired,
        pause: pause.as_ref().map(|Pause { by, since, reason }| PauseView {
            by: match by {
                PausedBy::Operator => PauseBy::Operator,
                PausedBy::Quarantine => PauseBy::Quarantine,
            },
            since: rfc3339(since.as_millis()),
            reason: reason.clone(),
        }),
        absent: false,
    }
}

/// A replay that is not over.
pub(crate) fn replay(replay: &Replaying) -> ReplayView {
    ReplayView {
        subscription: replay.subscription.to_string(),
        handler: replay.subscription.handler().to_owned(),
        next: replay.next,
        end: replay.end,
        unsettled: number(replay.unsettled),
    }
}

/// A subscription that nobody has come for since the host was started.
pub(crate) fn absent(orphan: &Orphan) -> SubscriptionView {
    let id = orphan.subscription.as_str();
    SubscriptionView {
        id: id.to_owned(),
        handler: orphan.subscription.handler().to_owned(),
        // No tenant's, handler's or peer's name holds a colon.
        pattern: id.split_once(':').map_or("", |(_, pattern)| pattern).to_owned(),
        queue: None,
        waiting: number(orphan.unsettled),
        running: 0,
        sleeping: 0,
        delivered: 0,
        acked: 0,
        retried: 0,
        dead_lettered: 0,
        expired: 0,
        pause: None,
        absent: true,
    }
}

pub(crate) fn event(event: &Event) -> EventView {
    let (body, body_base64) = text_or_base64(&event.message.body);
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    EventView {
        id: event.id.to_string(),
        topic: event.topic.to_string(),
        published_at: rfc3339(event.published_at.as_millis()),
        headers: event.message.headers.iter().map(pair).collect(),
        body,
        body_base64,
    }
}

pub(crate) fn dead_letter_summary(letter: &DeadLetter) -> DeadLetterSummary {
    DeadLetterSummary {
        id: letter.id.to_string(),
        event: letter.event.id.to_string(),
        topic: letter.event.topic.to_string(),
        handler: letter.subscription.handler().to_owned(),
        subscription: letter.subscription.to_string(),
        reason: letter.reason.clone(),
        attempts: small(letter.history.len()),
        died_at: rfc3339(letter.died_at.as_millis()),
    }
}

pub(crate) fn dead_letter(letter: &DeadLetter) -> DeadLetterView {
    let attempt = |attempt: &Attempt| self::attempt(&letter.event.id, &letter.subscription, attempt);
    DeadLetterView {
        id: letter.id.to_string(),
        handler: letter.subscription.handler().to_owned(),
        subscription: letter.subscription.to_string(),
        reason: letter.reason.clone(),
        died_at: rfc3339(letter.died_at.as_millis()),
        event: event(&letter.event),
        attempts: letter.history.iter().map(attempt).collect(),
    }
}

fn attempt(event: &EventId, subscription: &SubscriptionId, attempt: &Attempt) -> AttemptView {
    let report = &attempt.report;
    AttemptView {
        number: attempt.number,
        began: rfc3339(attempt.began.as_millis()),
        version: attempt.version.to_string(),
        outcome: report.outcome.as_str().to_owned(),
        reason: report.outcome.reason().map(str::to_owned),
        stack: report.outcome.stack().map(str::to_owned),
        log: log(event, subscription, attempt),
        log_cut: report.log.cut,
        wall_ms: u64::try_from(report.usage.wall.as_millis()).unwrap_or(u64::MAX),
        peak_memory_bytes: number(report.usage.peak_memory),
    }
}

fn log(event: &EventId, subscription: &SubscriptionId, attempt: &Attempt) -> Vec<LogLineView> {
    let lines = attempt.report.log.lines.iter();
    lines.map(|line| log_line(event, subscription, attempt.number, line)).collect()
}

fn log_line(event: &EventId, subscription: &SubscriptionId, attempt: u32, line: &LogLine) -> LogLineView {
    let source = match line.source {
        LogSource::Logging => "logging",
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Host => "host",
    };
    LogLineView {
        at: rfc3339(line.at.as_millis()),
        handler: subscription.handler().to_owned(),
        subscription: subscription.to_string(),
        event: event.to_string(),
        attempt,
        level: line.level.as_str().to_owned(),
        source: source.to_owned(),
        context: line.context.clone(),
        text: line.text.clone(),
    }
}

pub(crate) fn log_entry(entry: &Entry) -> LogLineView {
    log_line(&entry.event, &entry.subscription, entry.attempt, &entry.line)
}

/// How an event went for one subscription, as far as it went.
pub(crate) fn settlement(event: &EventId, subscription: &SubscriptionId, progress: &Progress) -> SettlementView {
    let last = || progress.attempts.last().and_then(|last| last.report.outcome.reason()).map(str::to_owned);
    let (outcome, reason) = match &progress.settled {
        None => (SettlementOutcome::Pending, last()),
        Some(Settled::Ack) => (SettlementOutcome::Ack, None),
        Some(Settled::DeadLetter { reason }) => (SettlementOutcome::DeadLetter, Some(reason.clone())),
        Some(Settled::Discarded) => (SettlementOutcome::Discarded, last()),
        Some(Settled::Expired) => (SettlementOutcome::Expired, last()),
    };
    SettlementView {
        subscription: subscription.to_string(),
        handler: subscription.handler().to_owned(),
        outcome,
        reason,
        attempts: small(progress.attempts.len()),
        log: progress.attempts.iter().flat_map(|attempt| log(event, subscription, attempt)).collect(),
        log_cut: progress.attempts.iter().map(|attempt| attempt.report.log.cut).sum(),
    }
}
