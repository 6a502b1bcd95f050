//! The host, put together: the only file that names every part. It reads in the order in which an event meets them.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hostel_api::problem::Code;
use hostel_dispatch::admit::{self, Admission};
use hostel_dispatch::driver::{self, Dispatcher};
use hostel_event::id::{Entropy, Ids};
use hostel_event::name::Tenant;
use hostel_event::port::{Clock, Observe, Publish};
use hostel_runtime::{Runtime, RuntimeError};
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::clock::SystemClock;
use crate::config::load::Mistake;
use crate::config::{Config, UnknownId};
use crate::deploy::{self, Deployments};
use crate::ingress::{self, Ingress};
use crate::keep::Keep;
use crate::network::{self, Network, UnknownNode};
use crate::observe::Watchers;

/// A host that is ready to serve.
pub(crate) struct Host {
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) admin: Arc<Admin>,
    pub(crate) deployments: Arc<Deployments>,
    keep: Keep,
    admission: Arc<Admission>,
    dispatcher: Dispatcher,
    network: Arc<Network>,
}

/// Puts a host together. `stop` ends what clients follow, and readiness.
///
/// Must be called within a tokio runtime.
pub(crate) async fn compose(config: &Config, ingress: SocketAddr, stop: &CancellationToken) -> Result<Host, Mistake> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let ids = Ids::new(Arc::clone(&clock), rand::random::<Entropy>);
    let watchers = Arc::new(Watchers::default());
    let observe: Arc<dyn Observe> = Arc::<Watchers>::clone(&watchers);

    let keep = Keep::open(config, &clock, &ids).await?;
    let broker = keep.broker();
    let guarantees = broker.guarantees();
    let admission = Arc::new(Admission::new(admit::Parts {
        broker: Arc::clone(&broker),
        clock: Arc::clone(&clock),
        ids: ids.clone(),
        observe: Arc::clone(&observe),
        message_bytes: bytes(config.ingress.message_limit.0),
    }));
    let publish: Arc<dyn Publish> = Arc::<Admission>::clone(&admission);

    let dispatcher = Dispatcher::new(driver::Parts {
        clock: Arc::clone(&clock),
        observe: Arc::clone(&observe),
        admission: Arc::clone(&admission),
        capacity: config.runtime.invocations,
        seed: rand::random(),
    });
    let runtime = Runtime::new(&runtime_settings(config), Arc::clone(&clock)).map_err(|error| mistake(&error))?;
    let network = Arc::new(Network::start(network::Parts {
        config,
        tenant: tenant(config)?,
        ingress,
        clock: Arc::clone(&clock),
        broker: Arc::clone(&broker),
        observe: Arc::clone(&observe),
        stop: stop.clone(),
    })?);
    let parts = deploy::Parts {
        runtime: Arc::new(runtime),
        broker: Arc::clone(&broker),
        keep: keep.clone(),
        dispatcher: dispatcher.clone(),
        network: Arc::clone(&network),
        clock: Arc::clone(&clock),
    };
    let deployments = Arc::new(Deployments::open(parts, &config.data_dir).map_err(|error| Mistake {
        code: Code::DataDirectoryUnusable,
        text: format!("cannot use the data directory `{}`: {error}", config.data_dir.display()),
    })?);

    let ingress = Arc::new(Ingress {
        tenant: tenant(config)?,
        publish,
        watchers: Arc::clone(&watchers),
        network: Arc::clone(&network),
        ids,
        settings: ingress::Settings {
            body_limit: bytes(config.ingress.message_limit.0),
            body_timeout: config.ingress.body_timeout.0,
            wait_limit: config.ingress.wait_limit.0,
            answer_after: (!guarantees.durable).then_some(config.peers.answer_after.0),
            unknown_node: match config.peers.unknown_id {
                UnknownId::Accept => UnknownNode::Accept,
                UnknownId::Refuse => UnknownNode::Refuse,
            },
        },
        stop: stop.clone(),
    });
    let admin = Arc::new(Admin {
        deployments: Arc::clone(&deployments),
        dispatcher: dispatcher.clone(),
        broker,
        keep: keep.clone(),
        network: Arc::clone(&network),
        registry: network.registry(),
        cached: network.cached().cloned(),
        clock,
        watchers,
        component_limit: bytes(config.admin.component_limit.0),
        stop: stop.clone(),
    });
    Ok(Host { ingress, admin, deployments, keep, admission, dispatcher, network })
}

impl Host {
    /// Sees to it that nobody finds this host any more, which takes two seconds at most. Not safe to cancel.
    pub(crate) async fn leave(&self) {
        self.network.leave().await;
    }

    /// Waits until events go to the peers that are there. Then what waited for its time, and found nobody before, may
    /// begin. Cancelling is safe.
    pub(crate) async fn ready(&self) {
        self.network.ready().await;
        self.keep.begin();
    }

    /// Whether what is not finished is kept.
    pub(crate) fn is_durable(&self) -> bool {
        self.keep.log().is_some()
    }

    /// Finishes what is here, as long as `patience` lasts and `hurry` does not resolve; says how many deliveries were
    /// not finished. The ingress must have ended, so that nothing comes in from outside any more; what handlers
    /// publish on the way is still taken. Not safe to cancel.
    pub(crate) async fn drain(&self, patience: Duration, hurry: impl Future<Output = ()>) -> usize {
        let began = tokio::time::Instant::now();
        let left = self.dispatcher.drain(patience, hurry).await;
        self.admission.close();
        self.deployments.close().await;
        let left = left + self.network.close(patience.saturating_sub(began.elapsed())).await;
        self.keep.close().await;
        left
    }
}

fn runtime_settings(config: &Config) -> hostel_runtime::Settings {
    hostel_runtime::Settings {
        invocations: config.runtime.invocations,
        memory_limit: bytes(config.runtime.memory_limit.0),
        component_limit: bytes(config.admin.component_limit.0),
        ..hostel_runtime::Settings::new(config.data_dir.join("cache"))
    }
}

fn mistake(error: &RuntimeError) -> Mistake {
    let text = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let code = match error {
        RuntimeError::Cache { .. } => Code::DataDirectoryUnusable,
        _ => Code::Internal,
    };
    Mistake { code, text }
}

/// Checked when the config was read; checked again rather than believed.
fn tenant(config: &Config) -> Result<Tenant, Mistake> {
    Tenant::new(&config.ingress.tenant)
        .map_err(|error| Mistake { code: Code::BadConfigValue, text: format!("`ingress.tenant`: {error}") })
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
