//! What a tenant may deploy: as many handlers as its quota says, hearing what is its own or exported to it.
//!
//! What is exported may be withdrawn while it is heard. Then the subscription ends, with what waits for it, and its
//! handler is listed with the reason; it is heard again once it is exported again and the handler is deployed again.

use std::sync::Arc;

use hostel_api::view::EndedSubscription;
use hostel_event::handler::Handler;
use hostel_event::name::Tenant;
use hostel_event::subscription::Subscription;

use super::{Deployment, Deployments, Record, Refusal};

impl Deployments {
    /// Whether a handler may be deployed, in the place of the one of its name or beside those that are there.
    pub(super) fn permit(&self, handler: &Handler) -> Result<(), Refusal> {
        let tenant = &handler.tenant;
        let record = self.parts.tenants.get(tenant).ok_or_else(|| Refusal::NoTenant(tenant.clone()))?;
        if let Some(limit) = record.handlers() {
            let key = (tenant.clone(), handler.name.clone());
            let is_new = !self.table.read().contains_key(&key) && !self.failed.read().contains_key(&key);
            let count = self.count(tenant);
            if is_new && count >= limit {
                let text = format!("tenant `{tenant}` has {count} handlers, and its quota is {limit}");
                return Err(Refusal::Limit(text));
            }
        }
        match handler.subscriptions.iter().enumerate().find(|(_, subscription)| !self.may_hear(subscription)) {
            None => Ok(()),
            Some((at, subscription)) => Err(Refusal::NotExported {
                at,
                tenant: tenant.clone(),
                source_tenant: subscription.source.clone(),
                pattern: subscription.pattern.clone(),
            }),
        }
    }

    /// Whether the tenant has every secret that a handler names.
    pub(super) fn check_secrets(&self, handler: &Handler) -> Result<(), Refusal> {
        let tenant = &handler.tenant;
        match handler.grants.secrets.iter().find(|name| !self.parts.secrets.has(tenant, name)) {
            None => Ok(()),
            Some(name) => Err(Refusal::NoSecret { tenant: tenant.clone(), name: name.clone() }),
        }
    }

    /// How many handlers a tenant has, those that do not run among them.
    pub(crate) fn count(&self, tenant: &Tenant) -> usize {
        let running = self.table.read().keys().filter(|(owner, _)| owner == tenant).count();
        running + self.failed.read().keys().filter(|(owner, _)| owner == tenant).count()
    }

    /// Takes out of a handler what it may not hear any more.
    pub(super) fn retain_permitted(&self, handler: &mut Handler) {
        handler.subscriptions.retain(|subscription| self.may_hear(subscription));
    }

    /// Ends the subscriptions to what is not exported any more; says how many deliveries that waited were discarded.
    pub(crate) async fn end_withdrawn(self: &Arc<Self>) -> Result<usize, Refusal> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let mut table = self.table.read().clone();
        let mut any = false;
        for deployment in table.values_mut() {
            if !deployment.handler.subscriptions.iter().all(|subscription| self.may_hear(subscription)) {
                any = true;
                self.retain_permitted(Arc::make_mut(&mut deployment.handler));
            }
        }
        if any { self.switch((None, changing), table, Record::Nothing).await } else { Ok(0) }
    }

    fn may_hear(&self, subscription: &Subscription) -> bool {
        self.parts.tenants.may_hear(&subscription.tenant, &subscription.source, &subscription.pattern)
    }
}

impl Deployment {
    /// What its manifest says that it hears of others and it does not hear.
    pub(crate) fn ended(&self) -> Vec<EndedSubscription> {
        let hears = |from: &str, pattern: &str| {
            let mut heard = self.handler.subscriptions.iter();
            heard.any(|one| one.source.as_str() == from && one.pattern.as_str() == pattern)
        };
        let written = self.manifest.subscriptions.iter();
        let ended = written.filter_map(|written| Some((written.from.as_deref()?, written.pattern.as_str())));
        ended
            .filter(|(from, pattern)| *from != self.handler.tenant.as_str() && !hears(from, pattern))
            .map(|(from, pattern)| EndedSubscription {
                pattern: pattern.to_owned(),
                from: from.to_owned(),
                reason: format!("tenant `{from}` does not export it any more; once it does, deploy the handler again"),
            })
            .collect()
    }
}
