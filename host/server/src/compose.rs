//! The host, put together: the only file that names every part. It reads in the order in which an event meets them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hostel_api::problem::Code;
use hostel_broker::memory;
use hostel_dispatch::admit::{self, Admission};
use hostel_dispatch::driver::{self, Dispatcher};
use hostel_event::id::{Entropy, Ids};
use hostel_event::name::Tenant;
use hostel_event::port::{Broker, Clock, Observe, Publish};
use hostel_runtime::{Runtime, RuntimeError};
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::load::Mistake;
use crate::deploy::{self, Deployments};
use crate::ingress::{self, Ingress};
use crate::observe::Watchers;

/// A host that is ready to serve.
pub(crate) struct Host {
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) admin: Arc<Admin>,
    pub(crate) deployments: Arc<Deployments>,
    admission: Arc<Admission>,
    dispatcher: Dispatcher,
}

/// Puts a host together. `stop` ends what clients follow, and readiness.
///
/// Must be called within a tokio runtime.
pub(crate) fn compose(config: &Config, stop: &CancellationToken) -> Result<Host, Mistake> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let ids = Ids::new(Arc::clone(&clock), rand::random::<Entropy>);
    let watchers = Arc::new(Watchers::default());
    let observe: Arc<dyn Observe> = Arc::<Watchers>::clone(&watchers);

    let broker = memory::Memory::new(memory_settings(config), Arc::clone(&clock), ids.clone());
    let guarantees = broker.guarantees();
    let broker: Arc<dyn Broker> = Arc::new(broker);
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
        observe,
        publish: Arc::clone(&publish),
        guarantees,
        capacity: config.runtime.invocations,
        seed: rand::random(),
    });
    let runtime = Runtime::new(&runtime_settings(config), Arc::clone(&clock)).map_err(|error| mistake(&error))?;
    let parts = deploy::Parts {
        runtime: Arc::new(runtime),
        broker: Arc::clone(&broker),
        dispatcher: dispatcher.clone(),
        clock,
    };
    let deployments = Arc::new(Deployments::open(parts, &config.data_dir).map_err(|error| Mistake {
        code: Code::DataDirectoryUnusable,
        text: format!("cannot use the data directory `{}`: {error}", config.data_dir.display()),
    })?);

    let ingress = Arc::new(Ingress {
        tenant: tenant(config)?,
        publish,
        watchers: Arc::clone(&watchers),
        ids,
        settings: ingress::Settings {
            body_limit: bytes(config.ingress.message_limit.0),
            body_timeout: config.ingress.body_timeout.0,
            wait_limit: config.ingress.wait_limit.0,
        },
        stop: stop.clone(),
    });
    let admin = Arc::new(Admin {
        deployments: Arc::clone(&deployments),
        dispatcher: dispatcher.clone(),
        broker,
        watchers,
        component_limit: bytes(config.admin.component_limit.0),
        stop: stop.clone(),
    });
    Ok(Host { ingress, admin, deployments, admission, dispatcher })
}

impl Host {
    /// Finishes what is here, as long as `patience` lasts and `hurry` does not resolve; says how many deliveries were
    /// not finished. The ingress must have ended, so that nothing comes in from outside any more; what handlers
    /// publish on the way is still taken. Not safe to cancel.
    pub(crate) async fn drain(&self, patience: Duration, hurry: impl Future<Output = ()>) -> usize {
        let left = self.dispatcher.drain(patience, hurry).await;
        self.admission.close();
        self.deployments.close().await;
        left
    }
}

fn memory_settings(config: &Config) -> memory::Settings {
    memory::Settings {
        bytes: bytes(config.broker.memory.0),
        dead_letters: config.broker.dead_letters,
        dead_letter_bytes: bytes(config.broker.dead_letter_memory.0),
        choice: memory::Choice::LeastLoaded,
        seed: rand::random(),
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
