//! The tasks: one for each running delivery, and one that watches the time.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;

use hostel_event::delivery::{SettleError, Settlement};
use hostel_event::id::EventId;
use hostel_event::message::Event;
use hostel_event::outcome::{Attempt, Fault, FaultKind, Log, Outcome, Report, Usage};
use hostel_event::port::{Call, EarlyAck, KeyValue, Publish, Request, Settled};
use hostel_event::reply::is_reply;

use crate::effects::Stage;
use crate::plan::{Input, Lane, Ticket};
use crate::telemetry;

use super::Shared;
use super::board::{Ending, Fate, Job};

/// Wakes the plan when it wants to be woken, until everything ends.
pub(super) async fn watch_time(shared: Arc<Shared>) {
    loop {
        let wake = shared.board.lock().wake();
        let delay = wake.map(|wake| wake.since(shared.parts.clock.now()));
        let slept = async {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            () = shared.sooner.notified() => {}
            () = shared.quotas().changed() => {
                let time = shared.time();
                let todo = shared.board.lock().heed(time, shared.quotas());
                shared.act(todo);
            }
            () = slept => {
                let todo = shared.step(Input::Tick);
                shared.act(todo);
            }
        }
    }
}

/// Runs one attempt and does what the plan makes of it.
pub(super) async fn run(shared: Arc<Shared>, job: Job) {
    // Dropped unsettled: whoever drains has counted it.
    if shared.is_over.load(Ordering::Acquire) {
        return;
    }
    let began = shared.parts.clock.wall();
    let stage = Stage::new(Arc::clone(&shared.parts.admission));
    let stage = Arc::new(stage.caused_by(&job.event, &job.subscription, job.attempt));
    let call = Call {
        event: Arc::clone(&job.event),
        attempt: job.attempt,
        last_error: job.last_error,
        early_ack: Arc::new(Early { shared: Arc::clone(&shared), ticket: job.ticket, stage: Arc::clone(&stage) }),
        publish: Arc::<Stage>::clone(&stage) as Arc<dyn Publish>,
        request: Arc::<Stage>::clone(&stage) as Arc<dyn Request>,
        key_value: Arc::<Stage>::clone(&stage) as Arc<dyn KeyValue>,
    };
    let ended = AssertUnwindSafe(job.invoke.invoke(call)).catch_unwind();
    let report = tokio::select! {
        // Most handlers never wait, and then nobody asks the token.
        biased;
        ended = ended => ended.unwrap_or_else(|_| {
            telemetry::invocation_panicked(&job.subscription);
            panicked()
        }),
        () = shared.cancel.cancelled() => return,
    };
    let version = job.invoke.version().clone();
    let attempt = Attempt { number: job.attempt, began, version, report };
    telemetry::attempted(&job.event.id, &job.subscription, job.attempt, attempt.report.outcome.as_str());
    shared.parts.observe.attempted(&job.event, &job.subscription, &attempt);

    let time = shared.time();
    let outcome = attempt.report.outcome.as_str();
    let failed = attempt.report.outcome != Outcome::Ack;
    let (mut todo, acked_early) = shared.board.lock().finish(time, job.ticket, attempt);
    if failed && acked_early {
        telemetry::failed_after_ack(&job.event.id, &job.subscription, outcome);
    }
    let own = todo.take_ending(job.ticket);
    // What may start now does not wait for what is being settled.
    shared.act(todo);
    shared.tell_leaving();
    if let Some(ending) = own {
        settle_all(shared, vec![with_effects(ending, &stage)]).await;
    }
}

/// Settles deliveries one after another.
pub(super) async fn settle_all(shared: Arc<Shared>, endings: Vec<Ending>) {
    for ending in endings {
        // An error is told where it is found; there is nothing else to do about it here.
        let _ = settle(&shared, ending).await;
    }
}

/// The ending of a delivery whose ack, if it is one, carries what the attempt did.
fn with_effects(mut ending: Ending, stage: &Stage) -> Ending {
    if let Some(Settlement::Ack(effects)) = &mut ending.settlement {
        *effects = stage.take();
    }
    ending
}

async fn settle(shared: &Arc<Shared>, ending: Ending) -> Result<(), SettleError> {
    let Ending { ticket, lane, subscription, event, settle, settlement, settled } = ending;
    let result = match settlement {
        Some(mut settlement) => {
            let published = published_with(&mut settlement);
            let redelivers = shared.parts.admission.broker().guarantees().redelivers;
            let failed = if redelivers { Fate::Returns } else { Fate::Other };
            // If it is cancelled, the token is dropped, which is as good as failed.
            let mut settling = Settling { shared, ending: (lane, ticket, &event.id), fate: failed };
            let result = settle.settle(settlement).await;
            settling.fate = match (&result, &settled) {
                (Ok(()), Some(Settled::Ack)) => Fate::Acked,
                (Ok(()), Some(Settled::DeadLetter { .. })) => Fate::DeadLettered,
                (Ok(()), Some(Settled::Expired)) => Fate::Expired,
                (Err(SettleError::Conflict(_)), _) => Fate::Conflicted,
                (Err(SettleError::Failed(_)), _) => failed,
                _ => Fate::Other,
            };
            drop(settling);
            if result.is_ok() {
                published.iter().for_each(|event| shared.parts.admission.tell(event));
            }
            result
        }
        None => {
            drop(settle);
            Ok(())
        }
    };
    match (&result, settled) {
        (Err(SettleError::Conflict(key)), _) => telemetry::conflicted(&event.id, &subscription, key),
        (Err(error), _) => telemetry::settle_failed(&event.id, &subscription, error),
        (Ok(()), Some(settled)) => {
            telemetry::settled(&event.id, &subscription, &settled);
            shared.parts.observe.settled(&event, &subscription, &settled);
        }
        (Ok(()), None) => {}
    }
    shared.tell_leaving();
    result
}

/// Tells the board what became of a settlement, also when whoever waited for it was dropped.
struct Settling<'a> {
    shared: &'a Arc<Shared>,
    ending: (Lane, Ticket, &'a EventId),
    fate: Fate,
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        let time = self.shared.time();
        let todo = self.shared.board.lock().settled(time, self.ending, self.fate);
        self.shared.act(todo);
        self.shared.tell_leaving();
    }
}

/// The events that an ack publishes. Takes replies out of it: no broker keeps them.
fn published_with(settlement: &mut Settlement) -> Vec<Arc<Event>> {
    let Settlement::Ack(effects) = settlement else { return Vec::new() };
    let published = effects.publications.iter().map(|one| Arc::clone(&one.event)).collect();
    effects.publications.retain(|one| !is_reply(&one.event.topic));
    published
}

/// What a handler's early acknowledgement goes through.
struct Early {
    shared: Arc<Shared>,
    ticket: Ticket,
    stage: Arc<Stage>,
}

impl EarlyAck for Early {
    fn ack(&self) -> BoxFuture<'_, Result<(), SettleError>> {
        Box::pin(async {
            let mut todo = self.shared.step(Input::AckedEarly { ticket: self.ticket });
            let own = todo.take_ending(self.ticket);
            self.shared.act(todo);
            match own {
                Some(ending) => {
                    settle(&self.shared, with_effects(ending, &self.stage)).await?;
                    self.stage.pass();
                    Ok(())
                }
                None => Err(SettleError::AlreadySettled),
            }
        })
    }
}

fn panicked() -> Report {
    let message = "the host panicked while it ran the handler".to_owned();
    let outcome = Outcome::Fault(Fault { kind: FaultKind::Host, message, stack: None });
    Report { outcome, log: Log::default(), usage: Usage::default() }
}
