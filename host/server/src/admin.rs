//! The admin API: where operators and the command line come in. The paths are all here, the work in the files below.

mod components;
mod dead_letters;
mod handlers;
mod logs;
mod peers;
mod registry;
mod subscriptions;
mod tenant;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use hostel_api::problem::Code;
use hostel_dispatch::driver::Dispatcher;
use hostel_event::port::{Broker, Clock, Registry};
use hostel_registry::cached::Cached;

use crate::answer::Failure;
use crate::deploy::Deployments;
use crate::keep::Keep;
use crate::network::Network;
use crate::observe::Watchers;

/// What the admin API needs.
pub(crate) struct Admin {
    pub(crate) deployments: Arc<Deployments>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) broker: Arc<dyn Broker>,
    /// How well it is, and what it keeps for nobody.
    pub(crate) keep: Keep,
    /// Who gets events over the network.
    pub(crate) network: Arc<Network>,
    /// Who is there.
    pub(crate) registry: Arc<dyn Registry>,
    /// The same registry where its answers are kept, which then says which of them are stale.
    pub(crate) cached: Option<Arc<Cached>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watchers: Arc<Watchers>,
    /// The most bytes of a component.
    pub(crate) component_limit: usize,
    /// Ends the streams that clients follow, and readiness.
    pub(crate) stop: CancellationToken,
}

/// How long a client may take for a request's body. Arbitrary: 64 MiB, as much as a component usually may have, over a
/// line of 2 Mbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);

type Shared = State<Arc<Admin>>;
type Answer = Result<Response, Failure>;

/// Every path.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    let of_tenant = Router::new()
        .route("/components/{digest}", put(components::put).get(components::get))
        .route("/handlers", get(handlers::list))
        .route("/handlers/{name}", put(handlers::put).get(handlers::get).delete(handlers::delete))
        .route("/handlers/{name}/rollback", post(handlers::rollback))
        .route("/subscriptions", get(subscriptions::list))
        .route("/subscriptions/{id}", delete(subscriptions::drop))
        .route("/subscriptions/{id}/pause", post(subscriptions::pause))
        .route("/subscriptions/{id}/resume", post(subscriptions::resume))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/{id}", get(dead_letters::get).delete(dead_letters::discard))
        .route("/dead-letters/{id}/redrive", post(dead_letters::redrive))
        .route("/logs", get(logs::read));
    let of_registry = Router::new()
        .route("/services", get(registry::list).post(registry::register).delete(registry::deregister))
        .route("/services/{name}", get(registry::get))
        .route("/watch", get(registry::watch));
    Router::new()
        .nest("/v1/tenants/{tenant}", of_tenant)
        .nest("/v1/registry", of_registry)
        .route("/v1/peers", get(peers::list))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .method_not_allowed_fallback(wrong_method)
        .fallback(async |request: Request| Failure::unknown_path(request.uri().path()))
        .with_state(admin)
}

/// Axum knows which methods a path takes and says so in `Allow`; here only the sentence is made.
async fn wrong_method(request: Request) -> Failure {
    let text = format!("`{}` does not take {}", request.uri().path(), request.method());
    Failure::new(Code::MethodNotAllowed, text)
}

async fn ready(State(admin): Shared) -> Response {
    let trouble = match admin.stop.is_cancelled() {
        true => Some("shutting down".to_owned()),
        false => admin.keep.trouble(),
    };
    match trouble {
        None => "ready\n".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")).into_response(),
    }
}
