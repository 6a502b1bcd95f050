//! Subscriptions: listed, paused and resumed. They come and go with their handlers; what one had that nobody came for
//! can be dropped.

use axum::extract::State;
use http::StatusCode;

use hostel_api::problem::Code;
use hostel_api::view::{DiscardedView, Items, SubscriptionView};
use hostel_broker::durable::Orphan;
use hostel_dispatch::driver;
use hostel_event::name::Tenant;
use hostel_event::subscription::SubscriptionId;

use super::tenant::InTenant;
use super::{Admin, Answer, Shared};
use crate::answer::{Failure, json};
use crate::deploy::Refusal;
use crate::{query, view};

pub(super) async fn list(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, _: query::Nothing) -> Answer {
    let mut items: Vec<_> = of(&admin, &tenant).iter().map(|state| one(&admin, state)).collect();
    items.extend(absent(&admin, &tenant).iter().map(view::absent));
    Ok(json(StatusCode::OK, &Items { items }))
}

/// Forgets what waits for a subscription that nobody has come for.
pub(super) async fn drop(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    let orphan = absent(&admin, &tenant).into_iter().find(|orphan| orphan.subscription.as_str() == rest.id);
    let orphan = orphan.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("no subscription `{}` that is absent", rest.id))
            .hint("one that is there ends with its handler: `hostel undeploy`")
    })?;
    let dropped = admin.keep.drop_orphan(&orphan.subscription).await.map_err(Refusal::from)?;
    Ok(json(StatusCode::OK, &DiscardedView { discarded: u64::try_from(dropped).unwrap_or(u64::MAX) }))
}

fn absent(admin: &Admin, tenant: &Tenant) -> Vec<Orphan> {
    let mut orphans = admin.keep.orphans();
    orphans.retain(|orphan| orphan.subscription.as_str().split_once('/').is_some_and(|(of, _)| of == tenant.as_str()));
    orphans
}

pub(super) async fn pause(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    change(&admin, &tenant, &rest.id, |id| admin.dispatcher.pause(id, "paused by an operator".to_owned()))
}

pub(super) async fn resume(State(admin): Shared, InTenant { tenant, rest }: InTenant, _: query::Nothing) -> Answer {
    change(&admin, &tenant, &rest.id, |id| admin.dispatcher.resume(id))
}

/// Changes the subscription of this id, or all those of the handler of this name, and shows them as they are then.
fn change(admin: &Admin, tenant: &Tenant, name: &str, change: impl Fn(&SubscriptionId) -> bool) -> Answer {
    // One may end between the look and the change.
    let changed: Vec<SubscriptionId> = of(admin, tenant)
        .into_iter()
        .map(|state| state.subscription.id.clone())
        .filter(|id| is_meant(id, name) && change(id))
        .collect();
    if changed.is_empty() {
        return Err(nobody(name));
    }
    let mut states = of(admin, tenant);
    states.retain(|state| changed.contains(&state.subscription.id));
    Ok(shown(admin, &states))
}

/// The subscription of this id, or all those of the handler of this name; at least one.
pub(super) fn meant(admin: &Admin, tenant: &Tenant, name: &str) -> Result<Vec<SubscriptionId>, Failure> {
    let ids = of(admin, tenant).into_iter().map(|state| state.subscription.id.clone());
    let ids: Vec<_> = ids.filter(|id| is_meant(id, name)).collect();
    if ids.is_empty() { Err(nobody(name)) } else { Ok(ids) }
}

fn is_meant(id: &SubscriptionId, name: &str) -> bool {
    id.as_str() == name || id.handler() == name
}

fn nobody(name: &str) -> Failure {
    Failure::new(Code::NotFound, format!("no subscription or handler `{name}`"))
        .hint("`hostel subscriptions --json` lists the ids of those that are there")
}

fn of(admin: &Admin, tenant: &Tenant) -> Vec<driver::State> {
    let mut states = admin.dispatcher.states();
    states.retain(|state| state.subscription.tenant == *tenant);
    states
}

fn one(admin: &Admin, state: &driver::State) -> SubscriptionView {
    view::subscription(state, admin.keep.unsettled(&state.subscription.id))
}

fn shown(admin: &Admin, states: &[driver::State]) -> http::Response<axum::body::Body> {
    json(StatusCode::OK, &Items { items: states.iter().map(|state| one(admin, state)).collect() })
}
