//! `hostel serve`: from the config to a host that listens, and to its end in good order.
//!
//! The order is an argument in itself. Every mistake in the config is told before the first socket opens; both sockets
//! are bound before the host is put together, so that a taken port is found in milliseconds; nothing is answered
//! before every handler that the config names is deployed. At the end the ingress goes first, then what is here is
//! finished, and the admin API goes last, so that one can watch.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;
use hostel_event::name::Tenant;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use toml::Value;

use crate::access::Door;
use crate::bundle;
use crate::cli::ServeArguments;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::compose::{Host, compose};
use crate::config::Config;
use crate::config::access::{admin_clients, ingress_clients};
use crate::config::load::{Mistake, Sources, in_seconds, load};
use crate::deploy::watched::{self, Watching};
use crate::deploy::{Deployments, Stages};
use crate::ingress::Ingress;
use crate::listener::{self, Socket};
use crate::secrets::Secrets;
use crate::tls::{self, Tls};
use crate::{admin, telemetry};

/// Runs a host until it is told to end. Prints its mistakes.
pub(crate) async fn run(arguments: ServeArguments) -> ExitCode {
    let config = match load(&sources(arguments)) {
        Ok(config) => config,
        Err(mistakes) => return told(&mistakes, ExitCode::from(2)),
    };
    telemetry::begin(&config.log);
    match serve(config, |_| ()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistake) => told(&[mistake], ExitCode::FAILURE),
    }
}

fn told(mistakes: &[Mistake], exit: ExitCode) -> ExitCode {
    for mistake in mistakes {
        if let Some(text) = Failure::coded(mistake.code, &mistake.text).render() {
            output::talk(&text);
        }
    }
    exit
}

pub(crate) fn sources(arguments: ServeArguments) -> Sources {
    let text = |key, value: Option<String>| value.map(|value| (key, Value::String(value)));
    let seconds = |key, value: Option<String>| text(key, value.map(|value| in_seconds(&value)));
    let flags = [
        text("ingress.listen", arguments.ingress.map(|address| address.to_string())),
        text("admin.listen", arguments.admin.map(|address| address.to_string())),
        text("data_dir", arguments.data_dir.map(|path| path.to_string_lossy().into_owned())),
        text("registry.use", arguments.registry),
        text("registry.address", arguments.registry_address),
        seconds("registry.ttl", arguments.register_ttl),
        seconds("registry.interval", arguments.register_interval),
        text("peers.use", arguments.broker),
        text("peers.name", arguments.server_name),
        text("log.filter", arguments.log),
        text("log.format", arguments.log_format),
    ];
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Sources {
        file: arguments.config,
        environment,
        flags: flags.into_iter().flatten().collect(),
        allow_remote: arguments.allow_remote,
    }
}

/// A host that has begun to serve in this process.
pub(crate) struct Serving {
    /// Where events come in.
    pub(crate) ingress: Arc<Ingress>,
    /// Whose topics it serves.
    pub(crate) tenant: Tenant,
    /// Which handlers run.
    pub(crate) deployments: Arc<Deployments>,
    /// Where it listens for events.
    pub(crate) ingress_address: SocketAddr,
    /// Where it listens for operators.
    pub(crate) admin_address: SocketAddr,
}

/// Serves until a signal ends it; `started` is called once it listens.
pub(crate) async fn serve(config: Config, started: impl FnOnce(Serving)) -> Result<(), Mistake> {
    let mut signals = Signals::watch().map_err(|error| internal(&error))?;
    usable(&config.data_dir)?;
    let secrets = Arc::new(Secrets::open(&config.secrets)?);
    let ingress_listener = bind(config.ingress.listen).await?;
    let admin_listener = bind(config.admin.listen).await?;
    let mut further = Vec::with_capacity(config.ingress.listeners.len());
    for listener in &config.ingress.listeners {
        further.push(bind(listener.listen).await?);
    }
    let ingress_address = ingress_listener.local_addr().map_err(|error| internal(&error))?;
    let admin_address = admin_listener.local_addr().map_err(|error| internal(&error))?;

    let (stopping, ended) = (CancellationToken::new(), CancellationToken::new());
    let mut listens = vec![ingress_address];
    for listener in &further {
        listens.push(listener.local_addr().map_err(|error| internal(&error))?);
    }
    let shown = tls::certificate(&(&config.ingress).into(), &config.data_dir, &listens)?;
    let clients = ingress_clients(&config.ingress);
    let open = |clients| shown.as_ref().map(|shown| Tls::open(shown, clients)).transpose();
    let tls = clients.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let shown = tls::certificate(&(&config.admin).into(), &config.data_dir, &[admin_address])?;
    let admin_tls = shown.map(|shown| Tls::open(&shown, &admin_clients(&config.admin))).transpose()?;
    let host = compose(&config, &listens, Arc::clone(&secrets), &stopping).await?;
    host.deployments.restore().await.map_err(|refusal| {
        let (code, detail) = crate::answer::refused(refusal);
        Mistake { code, text: format!("cannot run again what was deployed: {detail}") }
    })?;
    for path in &config.handlers {
        deploy(&host.deployments, &config, path).await?;
    }
    let watched = watched(&config, &host).await?;
    let doors = doors(&config)?;
    let sockets = std::iter::once(ingress_listener).chain(further);
    let sockets = sockets.zip(tls).map(|(listener, tls)| Socket { listener, tls }).zip(doors).collect();
    host.ready().await;
    let followers = TaskTracker::new();
    followers.spawn(secrets.follow(stopping.clone()));
    if let Some(watched) = watched {
        followers.spawn(watched.run(stopping.clone()));
    }
    followers.close();
    let mut ingress = tokio::spawn(serve_ingress(sockets, &host, &config, stopping.clone()));
    let admin_socket = Socket { listener: admin_listener, tls: admin_tls };
    let admin = tokio::spawn(serve_admin(admin_socket, &host, &config, ended.clone()));
    telemetry::ready((ingress_address, config.ingress.secure), (admin_address, config.admin.secure), &config.data_dir);
    for (listens, listener) in listens.iter().skip(1).zip(&config.ingress.listeners) {
        telemetry::listens(*listens, &listener.tenant);
    }
    started(Serving {
        ingress: Arc::clone(&host.ingress),
        tenant: tenant(&config.ingress.tenant)?,
        deployments: Arc::clone(&host.deployments),
        ingress_address,
        admin_address,
    });

    let name = signals.next().await;
    telemetry::draining(name);
    let patience = config.shutdown_deadline.0;
    let began = tokio::time::Instant::now();
    host.leave().await;
    stopping.cancel();
    let mut hurried = false;
    tokio::select! {
        // The task ends by itself within its own patience, and is joined here; a panic in it is no reason to stay.
        _ = &mut ingress => {}
        _ = signals.next() => {
            hurried = true;
            ingress.abort();
            // Joined: what it had open is cut off, and nothing comes in from outside any more.
            let _ = ingress.await;
        }
    }
    // Told to stop already; what they were about is dropped where it stands.
    followers.wait().await;
    let patience = patience.saturating_sub(began.elapsed());
    let left = host
        .drain(patience, async {
            if !hurried {
                signals.next().await;
            }
        })
        .await;
    telemetry::drained(left, host.is_durable());
    ended.cancel();
    // As above.
    let _ = admin.await;
    Ok(())
}

/// The folder that is watched, if the config names one.
async fn watched(config: &Config, host: &Host) -> Result<Option<Watching>, Mistake> {
    let folder = &config.deploy.watch;
    if folder.as_os_str().is_empty() {
        return Ok(None);
    }
    let settings = watched::Settings {
        folder,
        layout: config.deploy.watch_layout,
        tenant: tenant(&config.ingress.tenant)?,
        data_dir: &config.data_dir,
        component_limit: usize::try_from(config.admin.component_limit.0).unwrap_or(usize::MAX),
    };
    let opened = Watching::open(settings, Arc::clone(&host.deployments)).await;
    opened.map(Some).map_err(|error| Mistake {
        code: Code::FileUnreadable,
        text: format!("cannot read `{}`, the folder of `deploy.watch`: {error}", folder.display()),
    })
}

/// Checked when the config was read; checked again rather than believed.
fn tenant(text: &str) -> Result<Tenant, Mistake> {
    Tenant::new(text).map_err(|error| Mistake { code: Code::BadConfigValue, text: error.to_string() })
}

/// All listeners of the ingress, whose topics each serves, in the order in which they are bound.
fn doors(config: &Config) -> Result<Vec<Arc<Door>>, Mistake> {
    let ingress = &config.ingress;
    let mut doors =
        vec![Arc::new(Door { tenant: tenant(&ingress.tenant)?, go_micro: true, anonymous: ingress.anonymous })];
    for listener in &ingress.listeners {
        let tenant = tenant(&listener.tenant)?;
        doors.push(Arc::new(Door { tenant, go_micro: listener.go_micro, anonymous: listener.anonymous }));
    }
    Ok(doors)
}

fn serve_ingress(
    sockets: Vec<(Socket, Arc<Door>)>,
    host: &Host,
    config: &Config,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let limits = limits(config, config.ingress.connections);
    let ingress = Arc::clone(&host.ingress);
    let patience = config.shutdown_deadline.0;
    let served = sockets.into_iter().map(move |(socket, door)| {
        let ingress = Arc::clone(&ingress);
        let answer = move |request: http::Request<Incoming>, peer| {
            let (ingress, door) = (Arc::clone(&ingress), Arc::clone(&door));
            async move { ingress.answer(request, peer, &door).await }
        };
        listener::serve(socket, limits, answer, (stop.clone(), patience))
    });
    async move {
        futures_util::future::join_all(served).await;
    }
}

fn serve_admin(
    socket: Socket,
    host: &Host,
    config: &Config,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let limits = limits(config, config.admin.connections);
    let router = TowerToHyperService::new(admin::router(Arc::clone(&host.admin)));
    let access = Arc::clone(&host.admin.access);
    let answer = move |request: http::Request<Incoming>, peer| {
        let (router, access) = (router.clone(), Arc::clone(&access));
        let next = async move |request| {
            hyper::service::Service::call(&router, request).await.unwrap_or_else(|never| match never {})
        };
        async move { Ok(access.guard(request, peer, next).await) }
    };
    // Nothing is waited for any more when this listener stops; what is open gets a moment to be written.
    listener::serve(socket, limits, answer, (stop, std::time::Duration::from_secs(1)))
}

fn limits(config: &Config, connections: usize) -> listener::Limits {
    listener::Limits { connections, head_timeout: config.ingress.head_timeout.0 }
}

/// Makes the data directory, and proves that it can be written to before anything depends on it.
fn usable(data_dir: &Path) -> Result<(), Mistake> {
    let probe = data_dir.join(".probe");
    std::fs::create_dir_all(data_dir)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| Mistake {
            code: Code::DataDirectoryUnusable,
            text: format!("cannot write to the data directory `{}`: {error}", data_dir.display()),
        })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Mistake> {
    TcpListener::bind(address).await.map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::AddrInUse => Code::AddressInUse,
            _ => Code::BadConfigValue,
        };
        Mistake { code, text: format!("cannot listen on {address}: {error}") }
    })
}

/// Deploys a handler by its manifest, as a client would.
pub(crate) async fn deploy(deployments: &Arc<Deployments>, config: &Config, path: &Path) -> Result<(), Mistake> {
    let unreadable = |path: &Path, error: &io::Error| Mistake {
        code: Code::FileUnreadable,
        text: format!("cannot read `{}`: {error}", path.display()),
    };
    let bad = |text: String| Mistake { code: Code::MalformedDocument, text };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let mut manifest =
        Manifest::from_toml(&text, &path.display().to_string()).map_err(|error| bad(error.to_string()))?;
    let component = path.parent().unwrap_or(Path::new("")).join(&manifest.component);
    let bytes = std::fs::read(&component).map_err(|error| unreadable(&component, &error))?;
    let digest = hostel_runtime::digest(&bytes);
    manifest.component = format!("sha256:{digest}");
    let tenant = Tenant::new(&config.ingress.tenant).map_err(|error| bad(error.to_string()))?;
    let files = match &manifest.files {
        Some(folder) => {
            let folder = path.parent().unwrap_or(Path::new("")).join(folder);
            let packed = bundle::pack(&folder, config.admin.files_limit.0);
            let packed = packed.map_err(|error| Mistake { code: Code::BundleRefused, text: error.to_string() })?;
            let digest = hostel_runtime::digest(&packed);
            manifest.files = Some(format!("sha256:{digest}"));
            Some((digest, packed))
        }
        None => None,
    };
    let deployed = async {
        if let Some((digest, bundle)) = files {
            deployments.files().put(&tenant, digest, bundle.into()).await?;
        }
        deployments.put_component(&tenant, (digest, bytes.into()), Stages::silent()).await?;
        deployments.deploy(&tenant, &manifest, Stages::silent()).await
    };
    match deployed.await {
        Ok(_) => Ok(()),
        Err(refusal) => {
            let (code, detail) = crate::answer::refused(refusal);
            Err(Mistake { code, text: format!("cannot deploy `{}`: {detail}", path.display()) })
        }
    }
}

fn internal(error: &io::Error) -> Mistake {
    Mistake { code: Code::Internal, text: error.to_string() }
}

/// SIGTERM and SIGINT, both of which mean to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next of them, by name. Cancelling loses none.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
