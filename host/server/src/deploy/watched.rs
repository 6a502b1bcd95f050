//! The watched folder: what lies in it is what runs.
//!
//! An entry is a sub-folder with a `handler.toml`, or a file `NAME.handler.toml`; its component lies beside or below it.
//! An entry that is new or has changed is deployed once it is at rest, by the same path as every deployment. One that is
//! refused leaves what ran before, and the refusal is listed with its handler. When an entry is gone, its handler goes,
//! if what runs is what came from there. A folder that cannot be read changes nothing.
//!
//! What came from which entry is [recorded](record), so that a host goes on after a restart where it was: it deploys
//! nothing again, and takes away what went meanwhile. Entries are dealt with one after another, and events never wait.
//!
//! A folder can also hold one for each tenant: [`tenants`] follows these.

mod look;
mod plan;
mod record;
pub(crate) mod tenants;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use hostel_api::change::ChangeKind;
use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;
use hostel_event::name::{HandlerName, Tenant};

use super::{Deployments, Refusal, Stages};
use crate::config::deploy::WatchLayout;
use crate::observe::changes::Change;
use crate::telemetry;

use look::{Folder, Links, Sight, Unread, Version};
use plan::{Action, Known};
use record::{Deployed, Record, fingerprint};
use tenants::Tenants;

/// How often the folder is looked at. Two looks that find the same are needed before anything is done: so this is also
/// how long a file must be at rest.
const INTERVAL: Duration = Duration::from_millis(400);
/// When something is tried again that failed for a reason of the host's, such as a full disk.
const AGAIN: Duration = Duration::from_secs(10);

/// What is watched, and how.
pub(crate) struct Settings<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) layout: WatchLayout,
    /// Whose handlers they are, where the folder does not say.
    pub(crate) tenant: Tenant,
    pub(crate) data_dir: &'a Path,
    /// The most bytes of a component.
    pub(crate) component_limit: usize,
}

/// A folder that is watched, of either layout.
pub(crate) enum Watching {
    /// It holds handlers of one tenant.
    One(Box<Watched>),
    /// It holds a folder for each tenant.
    Each(Tenants),
}

impl Watching {
    /// Goes on with a folder as it was left.
    ///
    /// # Errors
    /// It is no folder that can be read.
    pub(crate) async fn open(settings: Settings<'_>, deployments: Arc<Deployments>) -> io::Result<Self> {
        // Nothing of it is used yet: that it can be read is what is asked.
        drop(tokio::fs::read_dir(settings.folder).await?);
        let (path, limit) = (settings.folder.to_owned(), settings.component_limit);
        match settings.layout {
            WatchLayout::Handlers => {
                let record = Record::open(settings.data_dir.join("watched.json"), &settings.tenant).await;
                telemetry::watching(settings.folder, settings.tenant.as_str());
                let folder = Folder { path, links: Links::Anywhere };
                Ok(Self::One(Box::new(Watched::new(folder, settings.tenant, deployments, (record, limit)))))
            }
            WatchLayout::Tenants => {
                telemetry::watching_tenants(settings.folder);
                let records = settings.data_dir.join("watched");
                Ok(Self::Each(Tenants::open(path, records, deployments, limit).await?))
            }
        }
    }

    /// Follows the folder until it is told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let following = async {
            loop {
                match &mut self {
                    Self::One(watched) => watched.turn().await,
                    Self::Each(tenants) => tenants.turn().await,
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        // A deployment that is cut off leaves the old version or the new one, and is made up for at the next start.
        stop.run_until_cancelled(following).await;
    }
}

/// A folder with handlers of one tenant. See the module's page.
pub(crate) struct Watched {
    folder: Folder,
    tenant: Tenant,
    deployments: Arc<Deployments>,
    /// The most bytes of a component.
    component_limit: usize,
    record: Record,
    known: BTreeMap<String, Known>,
    /// The handlers for which a refusal is listed, by entry.
    refused: BTreeMap<String, HandlerName>,
    /// Whether the last look failed, so that it is told once.
    is_lost: bool,
}

/// Why an entry was not deployed.
enum NotDeployed {
    /// It changes; there will be another look.
    Changed,
    /// It cannot run as it is.
    Refused(Option<HandlerName>, Code, String),
    /// The host could not.
    Failed(Option<HandlerName>, Code, String),
}

impl Watched {
    /// Goes on with a folder as it was left.
    fn new(
        folder: Folder,
        tenant: Tenant,
        deployments: Arc<Deployments>,
        (record, component_limit): (Record, usize),
    ) -> Self {
        let known = record.entries().map(|entry| (entry.clone(), Known::default())).collect();
        Self { folder, tenant, deployments, component_limit, record, known, refused: BTreeMap::new(), is_lost: false }
    }

    /// Looks once, and does what there is to do.
    async fn turn(&mut self) {
        let before: BTreeMap<String, Sight> =
            self.known.iter().filter_map(|(entry, known)| Some((entry.clone(), known.seen.clone()?))).collect();
        let folder = self.folder.clone();
        let looked = tokio::task::spawn_blocking(move || look::look(&folder, &before)).await;
        let sights = match looked.map_err(io::Error::other).and_then(|looked| looked) {
            Ok(sights) => sights,
            Err(error) => {
                if !std::mem::replace(&mut self.is_lost, true) {
                    let path = self.folder.path.display();
                    telemetry::watched_trouble(&format!("cannot read `{path}`: {error}"));
                }
                return;
            }
        };
        self.is_lost = false;
        self.follow(&sights).await;
    }

    /// Does what there is to do about what was seen.
    async fn follow(&mut self, sights: &BTreeMap<String, Sight>) {
        for action in plan::decide(&mut self.known, sights, Instant::now()) {
            match action {
                Action::Load(entry, sight) => self.load(entry, *sight).await,
                Action::Remove(entry) => self.remove(entry).await,
            }
        }
    }

    async fn load(&mut self, entry: String, sight: Sight) {
        let (handler, code, reason) = match self.deploy(&entry, sight).await {
            Ok(()) => return self.forgive(&entry),
            Err(NotDeployed::Changed) => return self.try_again(&entry, Duration::ZERO),
            Err(NotDeployed::Refused(handler, code, reason)) => (handler, code, reason),
            Err(NotDeployed::Failed(handler, code, reason)) => {
                self.try_again(&entry, AGAIN);
                (handler, code, reason)
            }
        };
        telemetry::watched_refused(&entry, code.as_str(), &reason);
        self.forgive(&entry);
        // An entry that does not say whose it is most likely has the name of its handler.
        let stem = entry.strip_suffix(look::SUFFIX).unwrap_or(&entry);
        if let Some(handler) = handler.or_else(|| HandlerName::new(stem).ok()) {
            self.deployments.refuse(&self.tenant, &handler, format!("{code}: {reason}"));
            self.refused.insert(entry, handler);
        }
    }

    fn try_again(&mut self, entry: &str, after: Duration) {
        if let Some(known) = self.known.get_mut(entry) {
            known.again = Instant::now().checked_add(after);
        }
    }

    /// Lists no refusal of an entry any more.
    fn forgive(&mut self, entry: &str) {
        if let Some(handler) = self.refused.remove(entry) {
            self.deployments.forgive(&self.tenant, &handler);
        }
    }

    /// Lists no refusal any more.
    fn forgive_all(&mut self) {
        for handler in std::mem::take(&mut self.refused).into_values() {
            self.deployments.forgive(&self.tenant, &handler);
        }
    }

    /// Whether nothing is left of it: neither what came from it nor what is listed as refused.
    fn is_over(&self) -> bool {
        self.record.is_empty() && self.known.is_empty()
    }

    async fn deploy(&mut self, entry: &str, sight: Sight) -> Result<(), NotDeployed> {
        let (folder, limits) = (self.folder.clone(), (self.component_limit, self.deployments.files().limit()));
        let read = tokio::task::spawn_blocking(move || look::read(&folder, &sight, limits)).await;
        let Version { manifest, digest, bytes, files } = match read {
            Ok(Ok(version)) => version,
            Ok(Err(Unread::Changed)) => return Err(NotDeployed::Changed),
            Ok(Err(Unread::Refused { name, code, text })) => {
                return Err(NotDeployed::Refused(name.and_then(|name| HandlerName::new(&name).ok()), code, text));
            }
            Err(error) => return Err(NotDeployed::Failed(None, Code::Internal, error.to_string())),
        };
        let name = HandlerName::new(&manifest.name)
            .map_err(|error| NotDeployed::Refused(None, Code::MalformedName, format!("`name`: {error}")))?;
        if let Some(other) = self.other_of(entry, &name) {
            let text = format!("handler `{name}` comes from `{other}` in the watched folder already");
            return Err(NotDeployed::Refused(Some(name), Code::MalformedDocument, text));
        }
        let deployed = Deployed { handler: name.to_string(), fingerprint: fingerprint(&manifest) };
        let runs = self.deployments.manifest(&self.tenant, &name).is_some();
        // What came from here before and was changed since by other means stays as it was changed.
        if self.record.get(entry) == Some(&deployed) && runs {
            return Ok(());
        }
        let done = async {
            if let Some((digest, bundle)) = files {
                self.deployments.files().put(&self.tenant, digest, bundle).await?;
            }
            self.deployments.put_component(&self.tenant, (digest, bytes), Stages::silent()).await?;
            self.deployments.deploy(&self.tenant, &manifest, Stages::silent()).await
        };
        if let Err(refusal) = done.await {
            let is_ours = matches!(refusal, Refusal::Full(_) | Refusal::Unavailable(_) | Refusal::Internal(_));
            let (code, text) = crate::answer::refused(refusal);
            return Err(match is_ours {
                true => NotDeployed::Failed(Some(name), code, text),
                false => NotDeployed::Refused(Some(name), code, text),
            });
        }
        let before = self.record.insert(entry, deployed);
        self.save().await;
        if let Some(before) = before.filter(|before| before.handler != name.as_str()) {
            self.undeploy(entry, &before).await;
        }
        Ok(())
    }

    /// Another entry that is there and has brought this handler.
    fn other_of(&self, entry: &str, handler: &HandlerName) -> Option<String> {
        let there: BTreeSet<&String> =
            self.known.iter().filter(|(_, known)| known.is_there()).map(|(e, _)| e).collect();
        let mut others = self.record.entries().filter(|other| *other != entry && there.contains(other));
        let brought = |other: &&String| self.record.get(other).is_some_and(|one| one.handler == handler.as_str());
        others.find(brought).cloned()
    }

    async fn remove(&mut self, entry: String) {
        self.forgive(&entry);
        let Some(deployed) = self.record.remove(&entry) else { return };
        if self.undeploy(&entry, &deployed).await {
            self.save().await;
        } else {
            // It is gone still at the next look, and then tried again.
            self.record.insert(&entry, deployed);
            self.known.insert(entry.clone(), Known::default());
            self.try_again(&entry, AGAIN);
        }
    }

    /// Takes away what came from an entry, if that is what runs; says whether it need not be tried again.
    async fn undeploy(&self, entry: &str, deployed: &Deployed) -> bool {
        let is_brought_anew = self
            .record
            .entries()
            .any(|one| self.record.get(one).is_some_and(|other| other.handler == deployed.handler));
        let Ok(name) = HandlerName::new(&deployed.handler) else { return true };
        let Some(manifest) = self.deployments.manifest(&self.tenant, &name).filter(|_| !is_brought_anew) else {
            return true;
        };
        if fingerprint(&manifest) != deployed.fingerprint {
            telemetry::watched_left(entry, name.as_str());
            return true;
        }
        match self.deployments.undeploy(&self.tenant, &name).await {
            Ok(_) | Err(Refusal::NoHandler(_)) => true,
            Err(refusal) => {
                let (code, text) = crate::answer::refused(refusal);
                telemetry::watched_refused(entry, code.as_str(), &format!("cannot undeploy `{name}`: {text}"));
                false
            }
        }
    }

    async fn save(&self) {
        if let Err(error) = self.record.save().await {
            telemetry::watched_trouble(&format!("cannot note what came from it: {error}"));
        }
    }
}

/// What the watched folder has and does not run, and why.
impl Deployments {
    fn refuse(&self, tenant: &Tenant, name: &HandlerName, reason: String) {
        let change = Change::of(self.parts.clock.wall(), ChangeKind::Refused, (tenant, name));
        self.parts.watchers.changes.show(Change { reason: Some(reason.clone()), ..change });
        self.refused.write().insert((tenant.clone(), name.clone()), reason);
    }

    fn forgive(&self, tenant: &Tenant, name: &HandlerName) {
        self.refused.write().remove(&(tenant.clone(), name.clone()));
    }

    /// All refusals of a tenant.
    pub(crate) fn refusals(&self, tenant: &Tenant) -> BTreeMap<HandlerName, String> {
        let refused = self.refused.read();
        let own = refused.iter().filter(|((owner, _), _)| owner == tenant);
        own.map(|((_, name), reason)| (name.clone(), reason.clone())).collect()
    }

    /// What is deployed of a handler, whether it runs or not.
    fn manifest(&self, tenant: &Tenant, name: &HandlerName) -> Option<Arc<Manifest>> {
        if let Some(running) = self.get(tenant, name) {
            return Some(running.manifest);
        }
        let failed = self.failed.read();
        failed.get(&(tenant.clone(), name.clone()))?.deployed.as_ref().map(|(manifest, _)| Arc::clone(manifest))
    }
}
