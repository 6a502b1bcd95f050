//! The host, put together: the only file that names every part. It reads in the order in which an event meets them.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use hostel_api::problem::Code;
use hostel_dispatch::admit::{self, Admission};
use hostel_dispatch::driver::{self, Dispatcher};
use hostel_dispatch::quota::Quotas;
use hostel_event::id::{Entropy, Ids};
use hostel_event::port::{Clock, Observe, Publish};
use hostel_log::record::Kind;
use hostel_runtime::{Network as AddressNetwork, Runtime, RuntimeError};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::access::audit::Audit;
use crate::access::tokens::Tokens;
use crate::admin::Admin;
use crate::admin::metrics::Sources;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::access::{Require, configured};
use crate::config::load::Mistake;
use crate::deploy::files::Files;
use crate::deploy::{self, Deployments, PREPARING};
use crate::ingress::{self, Ingress};
use crate::keep::Keep;
use crate::network::{self, Network};
use crate::observe::Watchers;
use crate::observe::echo::Echo;
use crate::observe::traces::{Collector, Traces};
use crate::observe::usage::Usage;
use crate::provision::Provided;
use crate::secrets::Secrets;
use crate::tenants::Tenants;
use crate::tenants::documents::Documents;

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

/// Puts a host together that listens for events at these addresses, the main one first. `stop` ends what clients follow, and readiness.
///
/// Must be called within a tokio runtime.
pub(crate) async fn compose(
    config: &Config,
    listens: &[SocketAddr],
    secrets: Arc<Secrets>,
    stop: &CancellationToken,
) -> Result<Host, Mistake> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let ids = Ids::new(Arc::clone(&clock), rand::random::<Entropy>);
    let watchers = Arc::new(Watchers::new(Arc::clone(&clock), traces(config)?, echo(config)?));
    let observe: Arc<dyn Observe> = Arc::<Watchers>::clone(&watchers);

    let keep = Keep::open(config, &clock, &ids).await?;
    let broker = keep.broker();
    let guarantees = broker.guarantees();
    let quotas = Arc::new(Quotas::new());
    let admission = Admission::new(admit::Parts {
        broker: Arc::clone(&broker),
        clock: Arc::clone(&clock),
        ids: ids.clone(),
        observe: Arc::clone(&observe),
        message_bytes: bytes(config.ingress.message_limit.0),
        quotas: Arc::clone(&quotas),
    });
    let admission = Arc::new(match config.telemetry.collector() {
        Some(_) => admission.tracing(config.telemetry.sample_one_in),
        None => admission,
    });
    let publish: Arc<dyn Publish> = Arc::<Admission>::clone(&admission);

    let dispatcher = Dispatcher::new(driver::Parts {
        clock: Arc::clone(&clock),
        observe: Arc::clone(&observe),
        admission: Arc::clone(&admission),
        capacity: config.runtime.invocations,
        seed: rand::random(),
    });
    let files = Arc::new(files(config)?);
    let (secrets_of, quotas_of) = (Arc::clone(&secrets), Arc::clone(&quotas));
    let provision = Arc::new(Provided { secrets: secrets_of, quotas: quotas_of, files: Arc::clone(&files) });
    let runtime = Runtime::providing(&runtime_settings(config)?, Arc::clone(&clock), provision);
    let runtime = Arc::new(runtime.map_err(|error| mistake(&error))?);
    let network = Arc::new(Network::start(&network::Parts {
        config,
        listens,
        clock: Arc::clone(&clock),
        broker: Arc::clone(&broker),
        observe: Arc::clone(&observe),
        stop: stop.clone(),
    })?);
    let access = Arc::new(access(config, &keep, &clock, quotas).await?);
    let parts = deploy::Parts {
        tenants: Arc::clone(&access.tenants),
        files,
        secrets,
        runtime: Arc::clone(&runtime),
        broker: Arc::clone(&broker),
        keep: keep.clone(),
        dispatcher: dispatcher.clone(),
        network: Arc::clone(&network),
        watchers: Arc::clone(&watchers),
        clock: Arc::clone(&clock),
    };
    let deployments = Arc::new(Deployments::open(parts, &config.data_dir).map_err(|error| Mistake {
        code: Code::DataDirectoryUnusable,
        text: format!("cannot use the data directory `{}`: {error}", config.data_dir.display()),
    })?);

    let ingress = Arc::new(Ingress {
        access: Arc::clone(&access),
        publish,
        watchers: Arc::clone(&watchers),
        network: Arc::clone(&network),
        ids,
        settings: ingress_settings(config, guarantees.durable),
        stop: stop.clone(),
    });
    let usage = Arc::new(Usage::start(Arc::clone(&watchers), Arc::clone(&clock), keep.log().cloned()));
    let sources = Sources { runtime, capacity: config.runtime.invocations, log_folder: config.data_dir.join("log") };
    let admin = Arc::new(Admin {
        access,
        deployments: Arc::clone(&deployments),
        dispatcher: dispatcher.clone(),
        broker,
        keep: keep.clone(),
        network: Arc::clone(&network),
        clock,
        watchers,
        usage,
        sources,
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
        let hurry = hurry.shared();
        let left = self.dispatcher.drain(patience, hurry.clone()).await;
        self.admission.close();
        self.deployments.close(patience.saturating_sub(began.elapsed()), hurry).await;
        let left = left + self.network.close(patience.saturating_sub(began.elapsed())).await;
        // Nothing is counted or traced any more.
        self.admin.usage.close().await;
        self.admin.watchers.close().await;
        self.keep.close().await;
        left
    }
}

/// Who is let in: the tenants and tokens that are kept or named by the config.
async fn access(config: &Config, keep: &Keep, clock: &Arc<dyn Clock>, quotas: Arc<Quotas>) -> Result<Access, Mistake> {
    let (log, now) = (keep.log(), clock.wall());
    let refused = |refusal| {
        let (code, text) = crate::answer::refused(refusal);
        Mistake { code, text }
    };
    let configured = configured(config)
        .map_err(|error| Mistake { code: Code::BadConfigValue, text: format!("a tenant of the config: {error}") })?;
    let documents = Documents::new(log.cloned(), Kind::Tenant);
    let tenants = Tenants::open((documents, quotas), configured, now).await.map_err(refused)?;
    let documents = Documents::new(log.cloned(), Kind::Token);
    let tokens = Tokens::open(documents, &config.data_dir).await.map_err(refused)?;
    if config.access.require == Require::Token {
        tokens.ensure_operator(now).await.map_err(refused)?;
    }
    let audit = Audit::open(&config.data_dir).map_err(|error| Mistake {
        code: Code::DataDirectoryUnusable,
        text: format!("cannot use the audit log in `{}`: {error}", config.data_dir.display()),
    })?;
    let require = config.access.require;
    let clock = Arc::clone(clock);
    Ok(Access { require, tokens: Arc::new(tokens), tenants: Arc::new(tenants), audit, clock })
}

/// Who is told of traces. The address was checked when the config was read; it is checked again rather than believed.
fn traces(config: &Config) -> Result<Traces, Mistake> {
    let Some(address) = config.telemetry.collector() else { return Ok(Traces::off()) };
    let collector = Collector::at(address, &config.peers.name)
        .map_err(|error| Mistake { code: Code::BadConfigValue, text: format!("`telemetry.otlp`: {error}") })?;
    Ok(Traces::to(collector))
}

/// Who repeats what handlers log, if that is asked for.
fn echo(config: &Config) -> Result<Option<Echo>, Mistake> {
    config.log.handlers.then(Echo::start).transpose().map_err(|error| Mistake {
        code: Code::Internal,
        text: format!("`log.handlers`: the system gives no thread to write with: {error}"),
    })
}

/// The files that handlers bring along.
fn files(config: &Config) -> Result<Files, Mistake> {
    Files::open(&config.data_dir, bytes(config.admin.files_limit.0)).map_err(|error| Mistake {
        code: Code::DataDirectoryUnusable,
        text: format!("cannot use the data directory `{}`: {error}", config.data_dir.display()),
    })
}

fn ingress_settings(config: &Config, is_durable: bool) -> ingress::Settings {
    ingress::Settings {
        body_limit: bytes(config.ingress.message_limit.0),
        body_timeout: config.ingress.body_timeout.0,
        wait_limit: config.ingress.wait_limit.0,
        answer_after: (!is_durable).then_some(config.peers.answer_after.0),
        unknown_id: config.peers.unknown_id,
    }
}

pub(crate) fn runtime_settings(config: &Config) -> Result<hostel_runtime::Settings, Mistake> {
    let network = |text: &String| text.parse::<AddressNetwork>();
    // Checked when the config was read; checked again rather than believed.
    let private_addresses = config.runtime.private_addresses.iter().map(network).collect::<Result<_, _>>();
    let private_addresses = private_addresses.map_err(|error| Mistake {
        code: Code::BadConfigValue,
        text: format!("`runtime.private_addresses`: {error}"),
    })?;
    Ok(hostel_runtime::Settings {
        private_addresses,
        // Beside what handles events, sandboxes to make handlers ready in.
        invocations: config.runtime.invocations.saturating_add(PREPARING),
        memory_limit: bytes(config.runtime.memory_limit.0),
        component_limit: bytes(config.admin.component_limit.0),
        ..hostel_runtime::Settings::new(config.data_dir.join("cache"))
    })
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

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
