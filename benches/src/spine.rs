//! The parts of a host that an event passes, without listeners, put together as the server does it but for those who
//! watch: the server's log book is not here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tokio::sync::Semaphore;

use hostel_broker::choice::Choice;
use hostel_broker::memory::{self, Memory};
use hostel_dispatch::admit::{self, Admission};
use hostel_dispatch::driver::{self, Dispatcher};
use hostel_event::headers::Headers;
use hostel_event::id::{Entropy, Ids};
use hostel_event::message::{Event, Message};
use hostel_event::name::Tenant;
use hostel_event::outcome::Attempt;
use hostel_event::port::{Broker, Clock, Observe, Publication, Settled};
use hostel_event::subscription::{Audience, SubscriptionId};
use hostel_event::time::{Moment, Timestamp};
use hostel_event::topic::Topic;

use crate::scale::Scale;
use crate::work;

/// Events that are published and not settled at any time: as many as the HTTP rows have connections.
const IN_FLIGHT: u32 = 64;
/// More than the events in flight ever take.
const BROKER_BYTES: usize = 256 * 1024 * 1024;

/// From admission to settlement, with the broker in memory.
pub(crate) struct Spine {
    pub(crate) settlements: Arc<Settlements>,
    pub(crate) ids: Ids,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) dispatcher: Dispatcher,
}

impl Spine {
    /// Async so that it is made within a tokio runtime, whose the dispatcher's tasks become.
    pub(crate) async fn new(clock: &Arc<dyn Clock>) -> Self {
        let ids = Ids::new(Arc::clone(clock), rand::random::<Entropy>);
        let settlements = Arc::new(Settlements::new());
        let observe: Arc<dyn Observe> = Arc::<Settlements>::clone(&settlements);
        let settings = memory::Settings {
            bytes: BROKER_BYTES,
            dead_letters: 1,
            dead_letter_bytes: BROKER_BYTES,
            key_value_bytes: BROKER_BYTES,
            choice: Choice::LeastLoaded,
            seed: 1,
        };
        let broker: Arc<dyn Broker> = Arc::new(Memory::new(settings, Arc::clone(clock), ids.clone()));
        let admission = Arc::new(Admission::new(admit::Parts {
            broker: Arc::clone(&broker),
            clock: Arc::clone(clock),
            ids: ids.clone(),
            observe: Arc::clone(&observe),
            message_bytes: 1024 * 1024,
            quotas: Arc::default(),
        }));
        let dispatcher = Dispatcher::new(driver::Parts {
            clock: Arc::clone(clock),
            observe,
            admission: Arc::clone(&admission),
            capacity: hostel_runtime::Settings::invocations_here(),
            seed: rand::random(),
        });
        Self { settlements, ids, broker, admission, dispatcher }
    }
}

/// The event's message for a tenant.
pub(crate) fn publication(tenant: &Tenant) -> Result<Publication> {
    let mut headers = Headers::new();
    headers.append("content-type", work::CONTENT_TYPE)?;
    let message = Message { headers, body: work::body() };
    Ok(Publication {
        tenant: tenant.clone(),
        topic: Topic::new(work::TOPIC)?,
        id: None,
        audience: Audience::Everyone,
        message,
    })
}

/// Hears of every settled event and makes room for another.
pub(crate) struct Settlements {
    pub(crate) room: Semaphore,
    acked: AtomicUsize,
}

impl Settlements {
    pub(crate) fn new() -> Self {
        Self { room: Semaphore::new(IN_FLIGHT as usize), acked: AtomicUsize::new(0) }
    }

    pub(crate) fn acked(&self) -> usize {
        self.acked.load(Ordering::Acquire)
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn all(&self) -> Result<()> {
        let all = tokio::time::timeout(Scale::PATIENCE, self.room.acquire_many(IN_FLIGHT)).await;
        drop(all.context("events were not settled in time")??);
        Ok(())
    }
}

impl Observe for Settlements {
    fn published(&self, _: &Arc<Event>) {}

    fn refused(&self, _: &Tenant) {}

    fn attempted(&self, _: &Arc<Event>, _: &SubscriptionId, _: &Attempt) {}

    fn settled(&self, _: &Arc<Event>, _: &SubscriptionId, settled: &Settled) {
        if *settled == Settled::Ack {
            self.acked.fetch_add(1, Ordering::AcqRel);
        }
        self.room.add_permits(1);
    }
}

/// The machine's clocks.
pub(crate) struct MachineClock {
    started: Instant,
}

impl MachineClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Moment {
        Moment::new(self.started.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is what implements the Clock port here")]
    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
