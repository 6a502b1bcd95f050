//! Deployments: from a manifest to a running handler, and back.
//!
//! What should run is a table of handlers. Every way to change it, at start or later, makes a new table and applies
//! the difference; there is no other path, so that a start is nothing but a change from an empty table. A change is
//! prepared whole, compiled and initialised, before anything is switched: one that fails leaves everything as it was.
//! Changes go one after another, prepared by [turns] of their tenants and then switched one at a time; events never wait
//! for them. With a durable broker the table is [kept], and a start is a change to what was kept.

mod change;
mod components;
pub(crate) mod files;
mod kept;
mod permit;
mod refusal;
mod restore;
mod specification;
mod stages;
mod switch;
#[cfg(test)]
mod tests;
mod turns;
pub(crate) mod watched;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_util::task::TaskTracker;

use hostel_api::change::ChangeKind;
use hostel_api::manifest::Manifest;
use hostel_dispatch::driver::Dispatcher;
use hostel_event::handler::{Digest, Handler};
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::port::{Broker, Clock};
use hostel_event::time::Timestamp;
use hostel_runtime::{Component, Guest, Runtime, World};

use crate::keep::Keep;
use crate::network::Network;
use crate::observe::Watchers;
use crate::secrets::Secrets;
use crate::tenants::Tenants;

use components::Components;
use files::{Files, Prepared};
use kept::Kept;
pub(crate) use refusal::Refusal;
pub(crate) use stages::Stages;
use switch::Record;
pub(crate) use turns::PREPARING;
use turns::{Turn, Turns};

/// What deployments need.
pub(crate) struct Parts {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) broker: Arc<dyn Broker>,
    /// Where what is deployed is kept.
    pub(crate) keep: Keep,
    /// Whose handlers they may be, and how many.
    pub(crate) tenants: Arc<Tenants>,
    /// The files that they bring along.
    pub(crate) files: Arc<Files>,
    /// What handlers may name of their tenants' secrets.
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) dispatcher: Dispatcher,
    /// Hears which subscriptions run.
    pub(crate) network: Arc<Network>,
    /// Hear what changes.
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A handler that runs.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) handler: Arc<Handler>,
    pub(crate) guest: Arc<Guest>,
    pub(crate) world: World,
    pub(crate) deployed_at: Timestamp,
    /// What was deployed.
    pub(crate) manifest: Arc<Manifest>,
    /// What ran before, to go back to.
    pub(crate) previous: Option<Arc<Manifest>>,
    /// How long it took to get there.
    pub(crate) took: Stages,
}

/// A component that was taken in.
pub(crate) struct Uploaded {
    pub(crate) component: Arc<Component>,
    /// Whether it was kept before.
    pub(crate) known: bool,
    pub(crate) took: Stages,
}

/// A handler that was deployed before the host was started and does not run now. Its events wait.
#[derive(Clone)]
pub(crate) struct Failed {
    pub(crate) name: HandlerName,
    /// What was deployed and when, if that can be told.
    pub(crate) deployed: Option<(Arc<Manifest>, Timestamp)>,
    pub(crate) reason: String,
}

/// What a deployment has come to before it is switched to.
enum Ready {
    /// It runs already.
    Same(Deployment),
    New(Turn, Made),
}

/// A handler that could run: its files are given back unless they are kept for the version that does.
type Made = (Arc<Guest>, World, Option<Prepared>);

type Table = BTreeMap<(Tenant, HandlerName), Deployment>;

/// What runs. See the module's page.
pub(crate) struct Deployments {
    parts: Parts,
    components: Components,
    table: RwLock<Table>,
    kept: Kept,
    failed: RwLock<BTreeMap<(Tenant, HandlerName), Failed>>,
    /// Why what the watched folder has for a handler does not run.
    refused: RwLock<BTreeMap<(Tenant, HandlerName), String>>,
    turns: Turns,
    /// Held for the length of a switch, and for nothing that a client or a handler could make long.
    changing: Arc<tokio::sync::Mutex<()>>,
    /// Switches that were begun; they end even if whoever asked for them has gone.
    switches: TaskTracker,
}

impl Deployments {
    /// Nothing runs yet. Components are kept below `data_dir`.
    ///
    /// # Errors
    /// The folder could not be made.
    pub(crate) fn open(parts: Parts, data_dir: &Path) -> std::io::Result<Self> {
        let components = Components::open(data_dir.join("components"), "wasm")?;
        Ok(Self {
            kept: Kept::new(parts.keep.log().cloned()),
            parts,
            components,
            table: RwLock::default(),
            failed: RwLock::default(),
            refused: RwLock::default(),
            turns: Turns::new(),
            changing: Arc::default(),
            switches: TaskTracker::new(),
        })
    }

    /// Everything of a tenant that runs, by name.
    pub(crate) fn list(&self, tenant: &Tenant) -> Vec<Deployment> {
        let table = self.table.read();
        table.iter().filter(|((owner, _), _)| owner == tenant).map(|(_, deployment)| deployment.clone()).collect()
    }

    /// One handler of a tenant.
    pub(crate) fn get(&self, tenant: &Tenant, name: &HandlerName) -> Option<Deployment> {
        self.table.read().get(&(tenant.clone(), name.clone())).cloned()
    }

    /// Everything of a tenant that should run and does not, by name.
    pub(crate) fn failed(&self, tenant: &Tenant) -> Vec<Failed> {
        let failed = self.failed.read();
        failed.iter().filter(|((owner, _), _)| owner == tenant).map(|(_, failed)| failed.clone()).collect()
    }

    /// Checks, compiles and keeps a component.
    pub(crate) async fn put_component(
        &self,
        tenant: &Tenant,
        (digest, bytes): (Digest, bytes::Bytes),
        mut took: Stages,
    ) -> Result<Uploaded, Refusal> {
        took.enter("check");
        let found = components::digest(bytes.clone()).await?;
        if found != digest {
            return Err(Refusal::Digest { what: "component", expected: digest, found });
        }
        let known = self.components.has(tenant, &digest).await;
        took.enter(if known { "load" } else { "compile" });
        let component = self.load(bytes.clone()).await?;
        if component.from_cache() {
            took.is_in_truth("load");
        }
        if !known {
            took.enter("keep");
            self.components.keep(tenant, &digest, &bytes).await?;
        }
        Ok(Uploaded { component, known, took: took.ended() })
    }

    /// A component that is kept for a tenant.
    pub(crate) async fn get_component(&self, tenant: &Tenant, digest: Digest) -> Result<Arc<Component>, Refusal> {
        match self.components.read(tenant, &digest).await? {
            Some(bytes) => self.load(bytes).await,
            None => Err(Refusal::NoComponent(digest)),
        }
    }

    /// The bundles of files that handlers read.
    pub(crate) fn files(&self) -> &Files {
        &self.parts.files
    }

    /// Forgets the components and bundles of files of a tenant that is no more, and what of its folder was refused.
    pub(crate) async fn drop_components(&self, tenant: &Tenant) -> Result<(), Refusal> {
        self.refused.write().retain(|(owner, _), _| owner != tenant);
        self.parts.files.drop_all(tenant).await?;
        self.components.drop_all(tenant).await
    }

    /// Compiling takes seconds and a whole core; it must not hold up events.
    async fn load(&self, bytes: bytes::Bytes) -> Result<Arc<Component>, Refusal> {
        let runtime = Arc::clone(&self.parts.runtime);
        let loaded = tokio::task::spawn_blocking(move || runtime.load(&bytes)).await;
        Ok(loaded.map_err(|error| Refusal::Internal(error.to_string()))??)
    }

    /// Brings a handler to what its manifest says; says also whether that changed anything.
    ///
    /// Cancelling leaves either the old or the new version serving.
    pub(crate) async fn deploy(
        self: &Arc<Self>,
        tenant: &Tenant,
        manifest: &Manifest,
        took: Stages,
    ) -> Result<(Deployment, bool), Refusal> {
        self.bring(tenant, manifest, (ChangeKind::Deployed, took)).await
    }

    async fn bring(
        self: &Arc<Self>,
        tenant: &Tenant,
        manifest: &Manifest,
        (kind, mut took): (ChangeKind, Stages),
    ) -> Result<(Deployment, bool), Refusal> {
        took.enter("check");
        let handler = Arc::new(specification::handler(tenant, manifest)?);
        let keeps = self.parts.broker.replay().is_some();
        specification::check_starts(&handler, keeps, self.parts.clock.wall())?;
        let (turn, (guest, world, files)) = match self.make_ready(&handler, &mut took).await? {
            Ready::Same(running) => return Ok((running, false)),
            Ready::New(turn, made) => (turn, made),
        };
        took.enter("switch");
        let changing = self.turns.unless_over(Arc::clone(&self.changing).lock_owned()).await?;
        // What others export to it may have changed while it was prepared, and whether its tenant is there.
        self.permit(&handler)?;
        let deployed_at = self.parts.clock.wall();
        let previous = self.get(tenant, &handler.name).map(|running| running.manifest);
        let (manifest, so_far) = (Arc::new(manifest.clone()), took.clone().ended());
        let mut deployment = Deployment { handler, guest, world, deployed_at, manifest, previous, took: so_far };

        let mut table = self.table.read().clone();
        table.insert((tenant.clone(), deployment.handler.name.clone()), deployment.clone());
        if let Some(files) = files {
            files.keep();
        }
        self.switch((Some(turn), changing), table, Record::Put(kind, Box::new(deployment.clone()))).await?;
        deployment.took = took.ended();
        Ok((deployment, true))
    }

    /// Takes its tenant's turn, and has a handler ready to be switched to unless that is what runs.
    async fn make_ready(&self, handler: &Arc<Handler>, took: &mut Stages) -> Result<Ready, Refusal> {
        let mut turn = self.turns.take(&handler.tenant).await?;
        if let Some(running) = self.get(&handler.tenant, &handler.name).filter(|running| running.handler == *handler) {
            return Ok(Ready::Same(running));
        }
        self.permit(handler)?;
        let made = async {
            let _place = self.turns.place().await?;
            if let Some(bundle) = handler.grants.files {
                let _changing = self.changing.lock().await;
                self.turns.hold(&mut turn, (handler.tenant.clone(), bundle));
            }
            self.prepare(handler, took).await
        };
        let made = self.turns.unless_over(made).await??;
        Ok(Ready::New(turn, made))
    }

    /// A handler's component, compiled and made ready.
    async fn prepare(&self, handler: &Arc<Handler>, took: &mut Stages) -> Result<Made, Refusal> {
        self.check_secrets(handler)?;
        took.enter("load");
        let component = self.get_component(&handler.tenant, handler.digest).await?;
        let files = match handler.grants.files {
            Some(bundle) => Some(self.parts.files.prepare(&handler.tenant, bundle).await?),
            None => None,
        };
        let guest = self.parts.runtime.prepare(&component, handler)?;
        // Without an `init` of its own it is seen here that an instance can be made.
        took.enter("init");
        guest.init().await?;
        Ok((guest, component.world(), files))
    }

    /// Deploys again what ran before a handler's last deployment.
    ///
    /// Cancelling leaves either version serving.
    pub(crate) async fn rollback(
        self: &Arc<Self>,
        tenant: &Tenant,
        name: &HandlerName,
        took: Stages,
    ) -> Result<(Deployment, bool), Refusal> {
        let running = self.get(tenant, name).ok_or_else(|| Refusal::NoHandler(name.clone()))?;
        let previous = running.previous.ok_or_else(|| Refusal::NoPrevious(name.clone()))?;
        self.bring(tenant, &previous, (ChangeKind::RolledBack, took)).await
    }

    /// Takes a handler away; says how many deliveries that waited for it are now nobody's.
    ///
    /// Cancelling leaves it there or takes it away whole.
    pub(crate) async fn undeploy(self: &Arc<Self>, tenant: &Tenant, name: &HandlerName) -> Result<usize, Refusal> {
        let turn = self.turns.take(tenant).await?;
        let changing = self.turns.unless_over(Arc::clone(&self.changing).lock_owned()).await?;
        let mut table = self.table.read().clone();
        let key = (tenant.clone(), name.clone());
        let removed = table.remove(&key).map(Box::new);
        if removed.is_none() && !self.failed.read().contains_key(&key) {
            return Err(Refusal::NoHandler(name.clone()));
        }
        self.switch((Some(turn), changing), table, Record::Remove(key, removed)).await
    }
}
