//! Those who follow what changes of handlers: deployed, rolled back, undeployed, refused, paused, resumed.

use std::sync::Arc;

use tokio::sync::broadcast;

use hostel_api::change::ChangeKind;
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::port::{Pause, PausedBy};
use hostel_event::subscription::SubscriptionId;
use hostel_event::time::Timestamp;

/// Changes that a watcher may be behind before it loses some. Arbitrary: more than a host has handlers, most often.
const BEHIND: usize = 1024;

/// What changed. What is absent is not concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: Timestamp,
    pub(crate) kind: ChangeKind,
    pub(crate) tenant: String,
    pub(crate) handler: String,
    /// The version and the digest of its component.
    pub(crate) version: Option<(String, String)>,
    pub(crate) subscription: Option<String>,
    pub(crate) reason: Option<String>,
}

impl Change {
    /// Of a handler.
    pub(crate) fn of(at: Timestamp, kind: ChangeKind, (tenant, handler): (&Tenant, &HandlerName)) -> Self {
        let (tenant, handler) = (tenant.to_string(), handler.to_string());
        Self { at, kind, tenant, handler, version: None, subscription: None, reason: None }
    }

    /// Of a subscription, unless it is a peer's, which is no handler.
    pub(crate) fn gate(at: Timestamp, id: &SubscriptionId, pause: Option<&Pause>) -> Option<Self> {
        let kind = match pause.map(|pause| pause.by) {
            None => ChangeKind::Resumed,
            Some(PausedBy::Operator) => ChangeKind::Paused,
            Some(PausedBy::Quarantine) => ChangeKind::Quarantined,
        };
        let (tenant, handler) = (Tenant::new(id.tenant()).ok()?, HandlerName::new(id.handler()).ok()?);
        Some(Self {
            subscription: Some(id.to_string()),
            reason: pause.map(|pause| pause.reason.clone()),
            ..Self::of(at, kind, (&tenant, &handler))
        })
    }

    /// Whether one who follows this handler, or all of this tenant, is to see it.
    pub(crate) fn is_of(&self, tenant: &Tenant, handler: Option<&HandlerName>) -> bool {
        self.tenant == tenant.as_str() && handler.is_none_or(|handler| self.handler == handler.as_str())
    }
}

/// See the module's page.
pub(crate) struct Changes {
    watchers: broadcast::Sender<Arc<Change>>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { watchers: broadcast::Sender::new(BEHIND) }
    }
}

impl Changes {
    /// Shows a change to whoever follows.
    pub(crate) fn show(&self, change: Change) {
        // That nobody does is no error.
        let _ = self.watchers.send(Arc::new(change));
    }

    /// Begins to follow: every change of every tenant from now on; the caller picks what its reader may see.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Change>> {
        self.watchers.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_by_those_of_its_tenant_and_handler() {
        let changes = Changes::default();
        let mut watching = changes.watch();
        let at = Timestamp::from_millis(7);
        let pause = Pause { by: PausedBy::Quarantine, since: at, reason: "it traps".to_owned() };
        let (acme, rival) = (Tenant::new("acme").unwrap(), Tenant::new("rival").unwrap());
        let (hello, other) = (HandlerName::new("hello").unwrap(), HandlerName::new("other").unwrap());
        let pattern = hostel_event::pattern::Pattern::new("a").unwrap();
        let id = hostel_event::subscription::Subscription::new(&acme, &hello, pattern).id;
        changes.show(Change::gate(at, &id, Some(&pause)).unwrap());
        let seen = watching.try_recv().unwrap();
        assert_eq!((seen.kind, seen.reason.as_deref()), (ChangeKind::Quarantined, Some("it traps")));
        assert_eq!(seen.subscription.as_deref(), Some("acme/hello:a"));
        assert!(seen.is_of(&acme, None) && seen.is_of(&acme, Some(&hello)));
        assert!(!seen.is_of(&rival, None) && !seen.is_of(&acme, Some(&other)));
        assert_eq!(Change::gate(at, &id, None).unwrap().kind, ChangeKind::Resumed);
    }
}
