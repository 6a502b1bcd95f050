//! Drops what no longer needs to be kept, topic by topic. Never what somebody has not settled, unless the operator said
//! so.

use std::sync::Arc;

use hostel_event::name::Tenant;
use hostel_event::topic::Topic;
use hostel_log::batch::Batch;
use hostel_log::error::ReadError;
use hostel_log::record::{Millis, Offset, Topic as LoggedTopic};
use hostel_log::retention::{Keep, drop_below};
use hostel_log::settings::Sync;

use super::settings::{Retention, Unsettled};
use super::{Shared, record};
use crate::chain::chain;
use crate::telemetry;

/// Looks through all topics once.
pub(crate) async fn apply(shared: &Arc<Shared>) {
    let now = shared.now();
    let dedupe = u64::try_from(shared.settings.dedupe.as_millis()).unwrap_or(u64::MAX);
    shared.log.forget_seen_before(Millis(now.0.saturating_sub(dedupe)));
    // Before anything is read: what comes later is not among what may go.
    let end = shared.line.end();
    let reader = Arc::clone(shared);
    let found = tokio::task::spawn_blocking(move || droppable(&reader, now, end)).await;
    let droppable = match found {
        Ok(Ok(droppable)) => droppable,
        Ok(Err(error)) => return telemetry::cannot_retain(&chain(&error)),
        Err(_) => return,
    };
    if droppable.is_empty() {
        return;
    }
    let mut batch = Batch::new();
    for (topic, below) in droppable {
        batch.drop_events(topic.tenant, topic.name, below);
    }
    if let Err(error) = shared.log.commit(batch, Sync::Never).await {
        telemetry::cannot_retain(&error.to_string());
    }
}

/// Which topics may be cut, and where.
fn droppable(shared: &Shared, now: Millis, end: Offset) -> Result<Vec<(LoggedTopic, Offset)>, ReadError> {
    let snapshot = shared.log.snapshot();
    let mut found = Vec::new();
    for topic in snapshot.topics(None)? {
        let Ok((tenant, name)) = record::names(&topic.tenant, &topic.name) else { continue };
        let retention = shared.settings.policy(&name).retention;
        let keep = keep(&retention, now);
        if keep == Keep::default() {
            continue;
        }
        let Some(below) = drop_below(&snapshot.stretches(topic.id)?, keep) else { continue };
        let below = match retention.unsettled {
            Unsettled::Keep => below.min(needed_from(shared, (tenant.as_str(), &name), end)),
            Unsettled::Drop => below.min(end),
        };
        if below > topic.floor {
            found.push((topic, below));
        }
    }
    Ok(found)
}

/// How many bytes of events are kept of a tenant. Reads what the log knows of each stretch, and no event.
pub(crate) fn stored(shared: &Shared, tenant: &Tenant) -> Result<u64, ReadError> {
    let snapshot = shared.log.snapshot();
    let mut bytes = 0_u64;
    for topic in snapshot.topics(Some(tenant.as_str()))? {
        for stretch in snapshot.stretches(topic.id)? {
            bytes = bytes.saturating_add(stretch.bytes);
        }
    }
    Ok(bytes)
}

fn keep(retention: &Retention, now: Millis) -> Keep {
    let age = |age: std::time::Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Keep {
        since: retention.age.map(|limit| Millis(now.0.saturating_sub(age(limit)))),
        bytes: retention.bytes,
        events: retention.events,
    }
}

/// The lowest offset of a topic that somebody may still need.
fn needed_from(shared: &Shared, (tenant, topic): (&str, &Topic), end: Offset) -> Offset {
    let table = shared.table.read();
    let lanes = table.lanes.values();
    let hearers = lanes.filter(|lane| lane.known.source.as_str() == tenant && lane.known.pattern.matches(topic));
    hearers.map(|lane| lane.floor(end)).min().unwrap_or(end)
}
