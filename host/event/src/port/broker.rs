//! The port behind which events are kept: where they come from and go to.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use crate::dead_letter::{DeadLetter, Filter};
use crate::delivery::Delivery;
use crate::id::{DeadLetterId, EventId};
use crate::message::{Event, Message};
use crate::name::Tenant;
use crate::port::{KeyValue, Pause, PublishError, Replay};
use crate::subscription::{Audience, Subscription, SubscriptionId};
use crate::time::Timestamp;

/// What a broker promises. Whoever uses one looks here instead of hoping.
#[expect(clippy::struct_excessive_bools, reason = "each promise stands alone; a broker may make any set of them")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarantees {
    /// A kept event survives the end of the process.
    pub durable: bool,
    /// A delivery is remembered until it is settled.
    pub acks: bool,
    /// A delivery whose token was dropped unused is delivered again.
    pub redelivers: bool,
    /// It takes `Settlement::Retry` and delivers again when the delay is over. Of one that does not, the dispatcher
    /// keeps the delay.
    pub delays: bool,
    /// It delivers to a subscription in the order in which events were kept.
    pub orders: bool,
    /// What a handler publishes and writes takes effect with its ack, or not at all.
    pub atomic_effects: bool,
}

/// An event that was let in, and how it is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// What was published.
    pub event: Arc<Event>,
    /// Whom it is for.
    pub audience: Audience,
    /// Its publisher gave it its id, so that the same may come again and is then no other event.
    pub given_id: bool,
    /// It is to be published then and not before; only given to a broker that `delays`.
    pub not_before: Option<Timestamp>,
}

impl From<Arc<Event>> for Admitted {
    /// For everyone, now, with an id of the host's.
    fn from(event: Arc<Event>) -> Self {
        Self { event, audience: Audience::Everyone, given_id: false, not_before: None }
    }
}

/// What a publisher gets for an event that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// The subscriptions of this host that will get it: one of each queue group and every other that matched.
    pub subscriptions: Vec<SubscriptionId>,
}

/// Why a subscription was not taken on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// One of this id is there.
    #[error("subscription `{0}` exists")]
    Exists(SubscriptionId),
    /// None of this id is there.
    #[error("subscription `{0}` does not exist")]
    Unknown(SubscriptionId),
    /// The broker failed.
    #[error("the broker failed: {0}")]
    Broker(String),
}

/// What ending a subscription left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribed {
    /// Deliveries that were waiting for it and are now nobody's.
    pub discarded: usize,
    /// Deliveries that were waiting for it and went to other members of its queue group.
    pub handed_over: usize,
}

/// Where a broker puts deliveries.
pub trait Sink: Send + Sync {
    /// Takes a delivery. Never blocks and never refuses: the broker has at most `subscription.window` of a
    /// subscription's deliveries out at a time, and that is the bound of the queue behind this.
    fn deliver(&self, delivery: Delivery);

    /// Forgets what waits for a subscription and is not running, dropping the tokens; says how many. What runs goes
    /// on to its end and settles as ever.
    fn forget(&self, subscription: &SubscriptionId) -> usize;

    /// Hears that an event expired before it was delivered, and is settled. Told by a broker that lets events wait; one
    /// that delivers at once leaves it to the sink to look. Returns at once.
    fn expired(&self, subscription: &SubscriptionId, event: &Arc<Event>);
}

/// Keeps events until every subscription that matched has settled them.
pub trait Broker: Send + Sync {
    /// What this broker promises.
    fn guarantees(&self) -> Guarantees;

    /// Keeps an event for every subscription of its audience that matches now: all of them or none.
    ///
    /// Returns once it is kept as [`guarantees`](Self::guarantees) say. Cancelling leaves open whether it was. One that
    /// is to be published later matches when its time has come.
    ///
    /// # Errors
    /// [`PublishError::Overloaded`] when a matching subscription has no room; nothing is kept then, for nobody.
    fn publish(&self, admitted: Admitted) -> BoxFuture<'_, Result<Receipt, PublishError>>;

    /// Whether there is room now for an event that would be published with an attempt's acknowledgement. Keeps nothing:
    /// what is asked for here and then published with an ack is kept even if the room is gone by then, so that an
    /// attempt that went well is not run again for lack of it.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    fn room_for(&self, admitted: &Admitted) -> Result<(), PublishError>;

    /// Begins to deliver to a subscription what is published from now on. One that is new gets also, once, what is kept
    /// from its `start` on: without a gap between both, and without an event in both.
    ///
    /// Cancelling leaves open whether it began.
    ///
    /// # Errors
    /// [`SubscribeError::Exists`] when one of this id is there.
    fn subscribe(
        &self,
        subscription: Arc<Subscription>,
        sink: Arc<dyn Sink>,
    ) -> BoxFuture<'_, Result<(), SubscribeError>>;

    /// Changes how a subscription is delivered, keeping what waits for it.
    ///
    /// # Errors
    /// [`SubscribeError::Unknown`] when none of this id is there.
    fn resubscribe(&self, subscription: Arc<Subscription>) -> BoxFuture<'_, Result<(), SubscribeError>>;

    /// Ends a subscription, also one of those that are [absent](Self::absent). What waits for it goes to another member of
    /// its queue group, attempts counted anew; where there is none it is forgotten. What runs may still be settled; what is
    /// not goes the same way.
    ///
    /// # Errors
    /// [`SubscribeError::Unknown`] when none of this id is there.
    fn unsubscribe(&self, id: &SubscriptionId) -> BoxFuture<'_, Result<Unsubscribed, SubscribeError>>;

    /// Subscriptions of an earlier life of a durable broker that have not come back: as much as is known of them, with
    /// defaults for the rest. What waits for them is kept; nothing is added to it until they
    /// [subscribe](Self::subscribe) again.
    fn absent(&self) -> Vec<Arc<Subscription>> {
        Vec::new()
    }

    /// Remembers that a subscription is paused, or with `None` that it is not, for as long as the broker keeps the
    /// subscription: a durable one over restarts. It delivers as before: holding back is up to who is delivered to.
    ///
    /// Cancelling leaves open whether it is remembered.
    ///
    /// # Errors
    /// [`SubscribeError::Unknown`] when none of this id is there, [`SubscribeError::Broker`] when it cannot be kept.
    fn keep_pause(&self, id: &SubscriptionId, pause: Option<Pause>) -> BoxFuture<'_, Result<(), SubscribeError>>;

    /// What was last remembered with [`keep_pause`](Self::keep_pause) of a subscription, whether it is there or
    /// [absent](Self::absent). Ask before it subscribes, since deliveries come at once.
    fn kept_pause(&self, id: &SubscriptionId) -> Option<Pause>;

    /// What was given up.
    fn dead_letters(&self) -> &dyn DeadLetters;

    /// What handlers keep. Cleared by nothing but writes.
    fn key_value(&self) -> &dyn KeyValue;

    /// How many bytes of events are kept of a tenant, settled or not; dead letters, keys and values do not count. `None`
    /// of a broker that does not count them, or cannot now. May be some seconds old; asked once a second for each tenant at most.
    fn stored(&self, _tenant: &Tenant) -> Option<u64> {
        None
    }

    /// How a subscription gets again what is kept; `None` of a broker that keeps nothing that is settled.
    fn replay(&self) -> Option<&dyn Replay> {
        None
    }
}

/// Why a dead letter could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// None of this id is kept for the tenant.
    #[error("no dead letter `{0}`")]
    Unknown(DeadLetterId),
    /// The subscription that gave it up is no more.
    #[error("its subscription `{0}` does not exist any more")]
    NoSubscription(SubscriptionId),
    /// The subscription has no room for it now.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// The events that were given up, tenant by tenant.
pub trait DeadLetters: Send + Sync {
    /// The tenant's dead letters that a filter accepts, newest first, at most `limit`, those older than `before` if given.
    fn search(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        before: Option<&DeadLetterId>,
        limit: usize,
    ) -> Vec<Arc<DeadLetter>>;

    /// All of the tenant's dead letters, newest first, at most `limit`, those older than `before` if given.
    fn list(&self, tenant: &Tenant, before: Option<&DeadLetterId>, limit: usize) -> Vec<Arc<DeadLetter>> {
        self.search(tenant, &Filter::default(), before, limit)
    }

    /// The tenant's dead letters as they died, the oldest first, at most `limit`, those after a place if given. A place is
    /// the time at which one died and its id; it need not be there any more.
    fn oldest(&self, tenant: &Tenant, after: Option<(Timestamp, &DeadLetterId)>, limit: usize) -> Vec<Arc<DeadLetter>>;

    /// One of the tenant's dead letters.
    fn get(&self, tenant: &Tenant, id: &DeadLetterId) -> Option<Arc<DeadLetter>>;

    /// Delivers the event again to the subscription that gave it up, attempts counted anew, and forgets the dead
    /// letter: both or neither.
    ///
    /// # Errors
    /// [`DeadLetterError`]; the dead letter is then kept.
    fn redrive(&self, tenant: &Tenant, id: &DeadLetterId) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>>;

    /// The same with another message in the place of the event's own; id, topic and times stay.
    ///
    /// # Errors
    /// [`DeadLetterError`]; the dead letter is then kept as it was.
    fn redrive_as(
        &self,
        tenant: &Tenant,
        id: &DeadLetterId,
        message: Message,
    ) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>>;

    /// Forgets a dead letter for good, and gives what it was.
    ///
    /// # Errors
    /// [`DeadLetterError`]; the dead letter is then kept.
    fn discard(&self, tenant: &Tenant, id: &DeadLetterId) -> BoxFuture<'_, Result<Arc<DeadLetter>, DeadLetterError>>;
}
