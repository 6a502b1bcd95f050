//! What changes of a tenant's handlers, as it changes.

use std::sync::Arc;

use axum::extract::State;
use http::Uri;
use serde::Deserialize;

use hostel_api::registry::LostChangesView;
use hostel_event::name::HandlerName;

use super::tenant::InTenant;
use super::{Answer, Shared};
use crate::follow::{Message, follow};
use crate::observe::changes::Change;
use crate::{query, view};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    handler: Option<String>,
}

pub(super) async fn watch(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    let parameters: Parameters = query::parameters(&uri)?;
    let handler = parameters.handler.as_deref().map(HandlerName::new).transpose()?;
    let receiver = admin.watchers.changes.watch();
    let pick = move |change: &Arc<Change>| {
        change.is_of(&tenant, handler.as_ref()).then(|| Message::json("change", None, &view::change(change))).flatten()
    };
    let lost = |changes| Message::json("lost", None, &LostChangesView { changes });
    Ok(follow(Vec::new(), (receiver, admin.stop.clone()), pick, lost))
}
