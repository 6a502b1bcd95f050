//! Subscriptions: which events a handler gets, and how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::name::{HandlerName, QueueGroup, Tenant};
use crate::pattern::Pattern;
use crate::port::Start;

/// A subscription's own name: tenant, handler and pattern, written `tenant/handler:pattern`.
///
/// It survives new versions of the handler, so that what waits for it survives them too.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(Arc<str>);

impl SubscriptionId {
    /// The id of a handler's subscription to a pattern.
    #[must_use]
    pub fn new(tenant: &Tenant, handler: &HandlerName, pattern: &Pattern) -> Self {
        Self(format!("{tenant}/{handler}:{pattern}").into())
    }

    /// The id of what is delivered to other hosts under a label of its own: `tenant/@label:pattern`. No handler's name
    /// begins with `@`, so it is never the id of a handler's subscription.
    #[must_use]
    pub fn remote(tenant: &Tenant, label: &str, pattern: &Pattern) -> Self {
        Self(format!("{tenant}/@{label}:{pattern}").into())
    }

    /// The id of a handler's subscription to topics of another tenant: `owner/handler:@source/pattern`. No pattern holds an
    /// `@` or a `/`, so it is never the id of a subscription to the owner's own topics.
    #[must_use]
    pub fn imported(owner: &Tenant, handler: &HandlerName, source: &Tenant, pattern: &Pattern) -> Self {
        Self(format!("{owner}/{handler}:@{source}/{pattern}").into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the tenant whose subscription it is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.0.split_once('/').map_or("", |(tenant, _)| tenant)
    }

    /// The handler's name, or `@` and the label of a remote subscription.
    #[must_use]
    pub fn handler(&self) -> &str {
        // Neither a tenant's nor a handler's name can hold `/` or `:`.
        let after_tenant = self.0.split_once('/').map_or("", |(_, rest)| rest);
        after_tenant.split_once(':').map_or("", |(handler, _)| handler)
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Where a subscription's deliveries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// To a handler of this host. For its queue group it counts as one node.
    Local,
    /// To other hosts, over the network.
    Remote {
        /// How many nodes it stands for when its queue group chooses a member.
        nodes: usize,
    },
}

impl Place {
    /// How many nodes of a queue group a subscription at this place stands for.
    #[must_use]
    pub const fn nodes(self) -> usize {
        match self {
            Self::Local => 1,
            Self::Remote { nodes } => nodes,
        }
    }
}

/// Which subscriptions an event is for, of those that hear its topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Audience {
    /// All of them: one member of each queue group, and everyone else.
    #[default]
    Everyone,
    /// Those that one node of this host stands for: the local subscriptions to exactly this topic which are in this
    /// queue group, or without one in none. A message that a peer addressed to a node is for nobody else, since the
    /// peer addresses the other nodes itself.
    Node {
        /// The queue group that the node belongs to; without one it is a broadcast node.
        queue: Option<QueueGroup>,
    },
}

impl Audience {
    /// Whether a subscription that hears the event's topic belongs to it.
    #[must_use]
    pub fn includes(&self, subscription: &Subscription) -> bool {
        match self {
            Self::Everyone => true,
            Self::Node { queue } => {
                // A node's queue group is one of the tenant whose topic it is; another's of that name is another group.
                let is_its_group = queue.is_none() || !subscription.is_imported();
                subscription.place == Place::Local
                    && subscription.queue == *queue
                    && is_its_group
                    && !subscription.pattern.has_wildcard()
            }
        }
    }
}

/// What a handler hears, and how it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its name.
    pub id: SubscriptionId,
    /// Whose subscription it is: its handler's, its queue group's and its dead letters' tenant.
    pub tenant: Tenant,
    /// Whose topics it hears: its owner's own, unless another tenant exports topics to it.
    pub source: Tenant,
    /// Which topics it hears.
    pub pattern: Pattern,
    /// Where its deliveries go.
    pub place: Place,
    /// Whom it shares events with: each event goes to exactly one subscription of a group. None: it gets each.
    pub queue: Option<QueueGroup>,
    /// How many of its deliveries run at the same time.
    pub concurrency: usize,
    /// How many deliveries it may have waiting and running; beyond that its publishers are told to wait.
    pub window: usize,
    /// What follows a failed attempt.
    pub retry: RetryPolicy,
    /// Which of its deliveries wait for one another.
    pub order: Order,
    /// When its handler is not called any more because it keeps failing.
    pub quarantine: Quarantine,
    /// What it gets first, when it is new: events that were kept before it came.
    pub start: Start,
}

/// Which deliveries of a subscription wait for one another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Order {
    /// None.
    #[default]
    None,
    /// Those whose events have the same value in this header, or none of them has it. The first such header counts.
    Header(Box<str>),
}

/// When a handler that keeps failing is not called any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// After this many faults without an ack between them; 0: never.
    pub faults: u32,
    /// Only if all of them fell within this time.
    pub window: Duration,
}

impl Quarantine {
    /// Never.
    pub const OFF: Self = Self { faults: 0, window: Duration::ZERO };
    /// The most faults that may be asked for. Each is remembered as a moment, for each subscription.
    pub const FAULTS_LIMIT: u32 = 10_000;
}

impl Default for Quarantine {
    /// Ten in a minute. Arbitrary: two events with five attempts each, so that a handler which does nothing but fail costs few events.
    fn default() -> Self {
        Self { faults: 10, window: Duration::from_secs(60) }
    }
}

impl Subscription {
    /// Deliveries at the same time unless the manifest says otherwise. Arbitrary: several for each core of a small
    /// machine, so that handlers which wait on upstreams do not idle it.
    pub const CONCURRENCY: usize = 16;
    /// Deliveries waiting and running unless the manifest says otherwise. Arbitrary: a few seconds of a busy topic.
    pub const WINDOW: usize = 10_000;

    /// A local subscription of `handler` to `pattern` with defaults for the rest.
    #[must_use]
    pub fn new(tenant: &Tenant, handler: &HandlerName, pattern: Pattern) -> Self {
        Self {
            id: SubscriptionId::new(tenant, handler, &pattern),
            tenant: tenant.clone(),
            source: tenant.clone(),
            pattern,
            place: Place::Local,
            queue: None,
            concurrency: Self::CONCURRENCY,
            window: Self::WINDOW,
            retry: RetryPolicy::default(),
            order: Order::None,
            quarantine: Quarantine::default(),
            start: Start::Latest,
        }
    }

    /// A local subscription of `handler` to what another tenant exports, with defaults for the rest.
    #[must_use]
    pub fn imported(tenant: &Tenant, handler: &HandlerName, source: &Tenant, pattern: Pattern) -> Self {
        Self {
            id: SubscriptionId::imported(tenant, handler, source, &pattern),
            source: source.clone(),
            ..Self::new(tenant, handler, pattern)
        }
    }

    /// Whether it hears another tenant's topics.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.source != self.tenant
    }

    /// Whether it shares events with another: both are in the same queue group of the same owner.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        self.queue.is_some() && self.queue == other.queue && self.tenant == other.tenant
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many attempts an event gets before it becomes a dead letter; at least 1.
    pub attempts: u32,
    /// The upper bound of the delay after the first attempt; it doubles with each further one.
    pub backoff: Duration,
    /// What the upper bound never exceeds.
    pub backoff_limit: Duration,
}

impl RetryPolicy {
    /// The longest delay that a handler may ask for.
    pub const ADVICE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

    /// The upper bound of the delay after attempt number `attempt` (counted from 1): exponential, capped.
    ///
    /// The delay itself is drawn evenly between zero and this bound ("full jitter"), so that what failed together does
    /// not come back together. See Marc Brooker, "Exponential Backoff And Jitter", 2015.
    #[must_use]
    pub fn bound(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(factor).min(self.backoff_limit)
    }
}

impl Default for RetryPolicy {
    /// Five attempts, 1 s, at most 60 s. With these an outage of some seconds costs no dead letter.
    fn default() -> Self {
        Self { attempts: 5, backoff: Duration::from_secs(1), backoff_limit: Duration::from_secs(60) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_knows_its_handler() {
        let (tenant, handler) = (Tenant::new("acme").unwrap(), HandlerName::new("hello").unwrap());
        let id = SubscriptionId::new(&tenant, &handler, &Pattern::new("orders.>").unwrap());
        assert_eq!(id.as_str(), "acme/hello:orders.>");
        assert_eq!(id.handler(), "hello");
        let remote = SubscriptionId::remote(&tenant, "mailers", &Pattern::new("orders.created").unwrap());
        assert_eq!(remote.as_str(), "acme/@mailers:orders.created");
        assert_eq!(remote.handler(), "@mailers");
        let other = Tenant::new("other").unwrap();
        let imported = SubscriptionId::imported(&tenant, &handler, &other, &Pattern::new("orders.>").unwrap());
        assert_eq!(imported.as_str(), "acme/hello:@other/orders.>");
        assert_eq!((imported.tenant(), imported.handler()), ("acme", "hello"));
    }

    #[test]
    fn a_node_stands_for_its_queue_group_at_its_topic_here() {
        let (tenant, handler) = (Tenant::new("acme").unwrap(), HandlerName::new("h").unwrap());
        let plain = Subscription::new(&tenant, &handler, Pattern::new("a.b").unwrap());
        let queue = Some(QueueGroup::new("q").unwrap());
        let member = Subscription { queue: queue.clone(), ..plain.clone() };
        let wild = Subscription { pattern: Pattern::new("a.*").unwrap(), ..plain.clone() };
        let remote = Subscription { place: Place::Remote { nodes: 2 }, ..plain.clone() };
        let other = Tenant::new("other").unwrap();
        let imported = Subscription { source: other.clone(), ..plain.clone() };
        let imported_member = Subscription { source: other, ..member.clone() };
        let all = [plain, member, wild, remote, imported, imported_member];
        let included = |audience: Audience| all.iter().map(|one| audience.includes(one)).collect::<Vec<_>>();
        assert_eq!(included(Audience::Everyone), [true; 6]);
        assert_eq!(included(Audience::Node { queue: None }), [true, false, false, false, true, false]);
        assert_eq!(included(Audience::Node { queue }), [false, true, false, false, false, false]);
    }

    #[test]
    fn the_bound_doubles_until_its_limit() {
        let policy =
            RetryPolicy { attempts: 9, backoff: Duration::from_millis(100), backoff_limit: Duration::from_secs(1) };
        let bounds: Vec<u128> = (1..=6).map(|attempt| policy.bound(attempt).as_millis()).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(policy.bound(u32::MAX), Duration::from_secs(1));
        assert_eq!(policy.bound(0), Duration::from_millis(100));
    }
}
