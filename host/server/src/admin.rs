//! The admin API: where operators and the command line come in. The paths are all here, the work in the files below.

mod audit;
mod changes;
mod components;
mod dead_letters;
mod files;
mod handlers;
mod logs;
pub(crate) mod metrics;
mod openapi;
mod peers;
mod progress;
mod registry;
mod replays;
mod subscriptions;
mod tenant;
mod tenants;
mod tokens;
mod usage;

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
use hostel_event::port::{Broker, Clock};

use crate::access::Access;
use crate::answer::Failure;
use crate::deploy::Deployments;
use crate::keep::Keep;
use crate::network::Network;
use crate::observe::Watchers;
use crate::observe::usage::Usage;

/// What the admin API needs.
pub(crate) struct Admin {
    /// Who is let in, with the tenants and tokens.
    pub(crate) access: Arc<Access>,
    pub(crate) deployments: Arc<Deployments>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) broker: Arc<dyn Broker>,
    /// How well it is, and what it keeps for nobody.
    pub(crate) keep: Keep,
    /// Who gets events over the network.
    pub(crate) network: Arc<Network>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watchers: Arc<Watchers>,
    /// What handlers used.
    pub(crate) usage: Arc<Usage>,
    /// Where numbers come from that nothing else here needs.
    pub(crate) sources: metrics::Sources,
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

/// Every path. One that is not in `hostel_api::route::ROUTES` as well, with what it takes, reaches nobody.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    let of_tenant = Router::new()
        .route("/components/{digest}", put(components::put).get(components::get))
        .route("/files/{digest}", put(files::put).get(files::get))
        .route("/handlers", get(handlers::list))
        .route("/handlers/{name}", put(handlers::put).get(handlers::get).delete(handlers::delete))
        .route("/handlers/{name}/rollback", post(handlers::rollback))
        .route("/subscriptions", get(subscriptions::list))
        .route("/subscriptions/{id}", delete(subscriptions::drop))
        .route("/subscriptions/{id}/pause", post(subscriptions::pause))
        .route("/subscriptions/{id}/resume", post(subscriptions::resume))
        .route("/subscriptions/{id}/replay", post(replays::begin).get(replays::get).delete(replays::end))
        .route("/replays", get(replays::list))
        .route("/dead-letters", get(dead_letters::list).delete(dead_letters::discard_many))
        .route("/dead-letters/redrive", post(dead_letters::redrive_many))
        .route("/dead-letters/{id}", get(dead_letters::get).delete(dead_letters::discard))
        .route("/dead-letters/{id}/redrive", post(dead_letters::redrive))
        .route("/tokens", get(tokens::of_tenant).post(tokens::create_of_tenant))
        .route("/tokens/{id}", delete(tokens::revoke_of_tenant))
        .route("/audit", get(audit::of_tenant))
        .route("/logs", get(logs::read))
        .route("/changes", get(changes::watch))
        .route("/usage", get(usage::of_tenant));
    let of_registry = Router::new()
        .route("/services", get(registry::list).post(registry::register).delete(registry::deregister))
        .route("/services/{name}", get(registry::get))
        .route("/watch", get(registry::watch));
    Router::new()
        .nest("/v1/tenants/{tenant}", of_tenant)
        .nest("/v1/registry", of_registry)
        .route("/v1/tenants", get(tenants::list))
        .route("/v1/tenants/{tenant}", put(tenants::put).get(tenants::get).delete(tenants::delete))
        .route("/v1/tokens", get(tokens::of_host).post(tokens::create_of_host))
        .route("/v1/tokens/{id}", delete(tokens::revoke_of_host))
        .route("/v1/audit", get(audit::of_host))
        .route("/v1/usage", get(usage::of_host))
        .route("/metrics", get(metrics::get))
        .route("/v1/peers", get(peers::list))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/v1/docs", get(openapi::page))
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
