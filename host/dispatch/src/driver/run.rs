//! The tasks: one for each running delivery, and one that watches the time.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;

use hostel_event::delivery::SettleError;
use hostel_event::outcome::{Attempt, Fault, FaultKind, Log, Outcome, Report, Usage};
use hostel_event::port::{Call, EarlyAck};

use crate::plan::{Input, Ticket};
use crate::telemetry;

use super::Shared;
use super::board::{Ending, Job, Todo};

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
            () = slept => {
                let todo = shared.step(Input::Tick);
                shared.act(todo);
            }
        }
    }
}

/// Runs one attempt and does what the plan makes of it.
pub(super) async fn run(shared: Arc<Shared>, job: Job) {
    let began = shared.parts.clock.wall();
    let call = Call {
        event: Arc::clone(&job.event),
        attempt: job.attempt,
        last_error: job.last_error,
        early_ack: Arc::new(Early { shared: Arc::clone(&shared), ticket: job.ticket }),
        publish: Arc::clone(&shared.parts.publish),
    };
    let ended = AssertUnwindSafe(job.invoke.invoke(call)).catch_unwind();
    let report = tokio::select! {
        // Dropped unsettled: whoever drains has counted it.
        () = shared.cancel.cancelled() => return,
        ended = ended => ended.unwrap_or_else(|_| {
            telemetry::invocation_panicked(&job.subscription);
            panicked()
        }),
    };
    let version = job.invoke.version().clone();
    let attempt = Attempt { number: job.attempt, began, version, report };
    telemetry::attempted(&job.event.id, &job.subscription, job.attempt, attempt.report.outcome.as_str());
    shared.parts.observe.attempted(&job.event, &job.subscription, &attempt);

    let now = shared.parts.clock.now();
    let outcome = attempt.report.outcome.as_str();
    let failed = attempt.report.outcome != Outcome::Ack;
    let (Todo { jobs, endings, sooner }, acked_early) = shared.board.lock().finish(now, job.ticket, attempt);
    if failed && acked_early {
        telemetry::failed_after_ack(&job.event.id, &job.subscription, outcome);
    }
    // What may start now does not wait for what is being settled.
    shared.act(Todo { jobs, endings: Vec::new(), sooner });
    shared.left.notify_waiters();
    settle_all(shared, endings).await;
}

/// Settles deliveries one after another.
pub(super) async fn settle_all(shared: Arc<Shared>, endings: Vec<Ending>) {
    for ending in endings {
        // An error is told where it is found; there is nothing else to do about it here.
        let _ = settle(&shared, ending).await;
    }
}

async fn settle(shared: &Shared, ending: Ending) -> Result<(), SettleError> {
    let Ending { subscription, event, settle, settlement, settled } = ending;
    let result = match settlement {
        Some(settlement) => settle.settle(settlement).await,
        None => {
            drop(settle);
            Ok(())
        }
    };
    match (&result, settled) {
        (Err(error), _) => telemetry::settle_failed(&event.id, &subscription, error),
        (Ok(()), Some(settled)) => {
            telemetry::settled(&event.id, &subscription, &settled);
            shared.parts.observe.settled(&event, &subscription, &settled);
        }
        (Ok(()), None) => {}
    }
    shared.left.notify_waiters();
    result
}

/// What a handler's early acknowledgement goes through.
struct Early {
    shared: Arc<Shared>,
    ticket: Ticket,
}

impl EarlyAck for Early {
    fn ack(&self) -> BoxFuture<'_, Result<(), SettleError>> {
        Box::pin(async {
            let mut todo = self.shared.step(Input::AckedEarly { ticket: self.ticket });
            let own = todo.endings.pop();
            self.shared.act(todo);
            match own {
                Some(ending) => settle(&self.shared, ending).await,
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
