//! What handlers logged: the newest lines, or those and whatever follows.

use std::sync::Arc;

use axum::extract::State;
use http::{StatusCode, Uri};
use serde::Deserialize;

use hostel_api::view::{Items, LostLinesView};
use hostel_event::name::HandlerName;

use super::tenant::InTenant;
use super::{Answer, Shared};
use crate::answer::json;
use crate::follow::{Message, follow};
use crate::observe::logbook::Entry;
use crate::{query, view};

/// Lines unless asked otherwise.
const LINES: usize = 100;
/// Lines at most.
const LINES_LIMIT: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    handler: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    follow: bool,
}

pub(super) async fn read(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    let parameters: Parameters = query::parameters(&uri)?;
    let handler = parameters.handler.as_deref().map(HandlerName::new).transpose()?;
    let limit = parameters.limit.unwrap_or(LINES).min(LINES_LIMIT);
    let (entries, receiver) = admin.watchers.logbook.read(&tenant, handler.as_ref(), limit);
    if !parameters.follow {
        return Ok(json(
            StatusCode::OK,
            &Items { items: entries.iter().map(|entry| view::log_entry(entry)).collect() },
        ));
    }
    let message = |entry: &Entry| Message::json("log", None, &view::log_entry(entry));
    let before = entries.iter().filter_map(|entry| message(entry)).collect();
    let pick = move |entry: &Arc<Entry>| entry.is_of(&tenant, handler.as_ref()).then(|| message(entry)).flatten();
    let lost = |lines| Message::json("lost", None, &LostLinesView { lines });
    Ok(follow(before, (receiver, admin.stop.clone()), pick, lost))
}
