//! The switch from one table of handlers to another. Once begun it goes on to its end, whoever has left, and tells there
//! what was made of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use hostel_api::change::ChangeKind;
use hostel_event::name::{HandlerName, Tenant};
use hostel_event::port::{Invoke, Sink};

use super::change::{self, Change};
use super::kept::Document;
use super::turns::Turn;
use super::{Deployment, Deployments, Refusal, Table};
use crate::observe::changes;
use crate::telemetry;

/// How long a switch may take that is under way when the host ends. Arbitrary: it waits for the disk alone, and one that
/// takes this long for it may never answer.
const SWITCH: Duration = Duration::from_secs(5);

/// What a change keeps before it is made and tells once it is.
pub(super) enum Record {
    Put(ChangeKind, Box<Deployment>),
    /// What ran of it, if anything did.
    Remove((Tenant, HandlerName), Option<Box<Deployment>>),
    Nothing,
}

impl Record {
    /// Of which handler it is.
    fn key(&self) -> Option<(Tenant, HandlerName)> {
        match self {
            Self::Put(_, deployment) => Some((deployment.handler.tenant.clone(), deployment.handler.name.clone())),
            Self::Remove(key, _) => Some(key.clone()),
            Self::Nothing => None,
        }
    }
}

impl Deployments {
    /// Forgets the subscriptions of a handler that does not run, with all that waits for them; says how much that was.
    async fn drop_orphans(&self, tenant: &Tenant, name: &HandlerName) -> Result<usize, Refusal> {
        let prefix = format!("{tenant}/{name}:");
        let mut dropped = 0;
        for orphan in self.parts.keep.orphans() {
            if orphan.subscription.as_str().starts_with(&prefix) {
                dropped += self.parts.keep.drop_orphan(&orphan.subscription).await?;
            }
        }
        Ok(dropped)
    }

    /// Ends every subscription, once nothing is to be delivered any more. With a durable broker they stay, as what waits
    /// for them does. Changes that were begun are waited for as long as `patience` lasts and `hurry` does not resolve;
    /// then what is still being prepared is refused. Not safe to cancel.
    pub(crate) async fn close(self: &Arc<Self>, patience: Duration, hurry: impl Future<Output = ()>) {
        self.turns.close(patience, hurry).await;
        let ended = async {
            let changing = Arc::clone(&self.changing).lock_owned().await;
            if self.kept.is_durable() {
                drop(changing);
            } else if let Err(error) = self.switch((None, changing), Table::new(), Record::Nothing).await {
                telemetry::internal_error(&error.to_string());
            }
            self.switches.close();
            self.switches.wait().await;
        };
        if tokio::time::timeout(SWITCH, ended).await.is_err() {
            telemetry::internal_error("a change of what runs did not end in time; the next start makes up for it");
        }
    }

    /// Makes a table the one that runs: applies how it differs from the one that ran, and tells of it. Cancelling lets it
    /// go on to its end: a switch left halfway would serve what no table says, and one that nobody is told of would be
    /// found by nobody.
    pub(super) async fn switch(
        self: &Arc<Self>,
        (turn, changing): (Option<Turn>, OwnedMutexGuard<()>),
        new: Table,
        record: Record,
    ) -> Result<usize, Refusal> {
        let this = Arc::clone(self);
        let switch = self.switches.spawn(async move {
            let _turn = turn;
            match &record {
                Record::Put(_, deployment) => {
                    let handler = &deployment.handler;
                    this.kept.put(&handler.tenant, &handler.name, &Document::of(deployment)).await?;
                }
                Record::Remove((tenant, name), _) => this.kept.remove(tenant, name).await?,
                Record::Nothing => {}
            }
            let change = change::difference(&this.table.read(), &new);
            let mut discarded = this.apply(change, &new).await?;
            let mut named = change::bundles(&new);
            named.extend(this.turns.held());
            *this.table.write() = new;
            this.parts.files.retain(&named).await;
            if let Some(key) = record.key() {
                this.failed.write().remove(&key);
            }
            drop(changing);
            let dropped = match &record {
                // It did not run, and its subscriptions are there without it.
                Record::Remove((tenant, name), None) => this.drop_orphans(tenant, name).await,
                _ => Ok(0),
            };
            discarded += dropped.as_ref().copied().unwrap_or_default();
            this.told(&record, discarded);
            dropped.map(|_| discarded)
        });
        switch.await.map_err(|error| Refusal::Internal(error.to_string()))?
    }

    /// Attaches before it subscribes, so that no delivery finds nobody; says how many deliveries were discarded.
    async fn apply(&self, change: Change, new: &Table) -> Result<usize, Refusal> {
        let version = |key: &(Tenant, HandlerName)| new.get(key).map(|deployment| Arc::clone(&deployment.guest));
        let attached = change.attach.iter().filter_map(|(subscription, key)| {
            let guest: Arc<dyn Invoke> = version(key)?;
            Some((Arc::clone(subscription), guest))
        });
        self.parts.dispatcher.attach(attached.collect());
        let broker = &self.parts.broker;
        for subscription in change.begin {
            let sink: Arc<dyn Sink> = Arc::new(self.parts.dispatcher.clone());
            broker.subscribe(subscription, sink).await?;
        }
        for subscription in change.alter {
            broker.resubscribe(subscription).await?;
        }
        // Peers stand in for members that end, and members for peers: they must know of the new before the old go.
        self.parts.network.announce(change::all(new));
        let mut discarded = 0;
        for id in &change.end {
            discarded += broker.unsubscribe(id).await?.discarded;
        }
        Ok(discarded)
    }

    /// Tells of a change that was made, and of how many deliveries it discarded.
    fn told(&self, record: &Record, discarded: usize) {
        let version = |deployment: &Deployment| {
            let handler = &deployment.handler;
            (handler.version.to_string(), format!("sha256:{}", handler.digest))
        };
        match record {
            Record::Put(kind, deployment) => {
                let handler = &deployment.handler;
                let (tenant, name) = (&handler.tenant, &handler.name);
                let digest = handler.digest.to_string();
                telemetry::deployed(tenant.as_str(), name.as_str(), &handler.version.to_string(), &digest);
                self.tell(*kind, (tenant, name), Some(version(deployment)));
            }
            Record::Remove((tenant, name), removed) => {
                telemetry::undeployed(tenant.as_str(), name.as_str(), discarded);
                self.tell(ChangeKind::Undeployed, (tenant, name), removed.as_deref().map(version));
            }
            Record::Nothing => {}
        }
    }

    /// Tells those who follow what changed of a handler.
    fn tell(&self, kind: ChangeKind, (tenant, name): (&Tenant, &HandlerName), version: Option<(String, String)>) {
        let at = self.parts.clock.wall();
        self.parts.watchers.changes.show(changes::Change { version, ..changes::Change::of(at, kind, (tenant, name)) });
    }
}
