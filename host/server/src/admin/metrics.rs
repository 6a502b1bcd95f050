//! The host's numbers for Prometheus, looked at when they are asked for.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;

use hostel_runtime::Runtime;

use super::{Admin, Answer, Shared};
use crate::access::{Granted, Identity};
use crate::answer::{Failure, with_type};
use crate::observe::metrics::{LogCounts, MEDIA_TYPE, Snapshot, render};
use crate::observe::process::{Process, bytes_in};
use crate::{query, view};

/// What is looked at beside what the admin API has anyway.
pub(crate) struct Sources {
    pub(crate) runtime: Arc<Runtime>,
    /// Deliveries that may run at the same time.
    pub(crate) capacity: usize,
    /// Where the log is.
    pub(crate) log_folder: PathBuf,
}

pub(super) async fn get(State(admin): Shared, Extension(granted): Extension<Granted>, _: query::Nothing) -> Answer {
    let only = match &granted.who {
        Identity::Holder(token) => token.tenant.clone(),
        Identity::Local | Identity::Nobody => None,
    };
    // It reads files, and with thousands of handlers writes megabytes.
    let page = tokio::task::spawn_blocking(move || render(&snapshot(&admin), only.as_ref())).await;
    let page = page.map_err(|error| Failure::internal(&format!("cannot gather the metrics: {error}")))?;
    Ok(with_type(StatusCode::OK, MEDIA_TYPE, Body::from(page)))
}

fn snapshot(admin: &Admin) -> Snapshot {
    let watchers = &admin.watchers;
    let states = admin.dispatcher.states().into_iter().map(|state| {
        let view = view::subscription(&state, admin.keep.unsettled(&state.subscription.id));
        (state, view)
    });
    Snapshot {
        process: Process::now(),
        is_ready: !admin.stop.is_cancelled() && admin.keep.trouble().is_none(),
        runtime: admin.sources.runtime.counts(),
        capacity: admin.sources.capacity,
        broker_bytes: admin.keep.bytes(),
        log: admin
            .keep
            .log_counts()
            .map(|counts| LogCounts { disk_bytes: bytes_in(&admin.sources.log_folder), ..counts }),
        logbook: watchers.logbook.size(),
        peers: admin.network.peers(),
        published: watchers.meter.tenants(),
        tenants: admin.dispatcher.tenants(),
        subscriptions: states.collect(),
        handlers: watchers.meter.handlers(),
        traces: watchers.traces.counts(),
    }
}
