//! A start: what ran when the host ended runs again, as far as it can.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;

use hostel_event::name::{HandlerName, Tenant};
use hostel_event::subscription::Place;

use super::kept::{Document, Row};
use super::stages::Stages;
use super::switch::Record;
use super::turns::PREPARING;
use super::{Deployment, Deployments, Failed, Refusal, specification};
use crate::telemetry;

impl Deployments {
    /// Runs again what ran when the host ended. What of it cannot run is told and listed as failed; the rest runs.
    ///
    /// # Errors
    /// What was kept cannot be read, or the broker would not have its subscriptions.
    pub(crate) async fn restore(self: &Arc<Self>) -> Result<(), Refusal> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let mut table = self.table.read().clone();
        let rows = self.kept.read().await?;
        let owners = rows.iter().map(|row| row.tenant.clone()).collect();
        self.parts.tenants.adopt(owners, self.parts.clock.wall()).await?;
        let mut tenants: BTreeMap<Tenant, Vec<Row>> = BTreeMap::new();
        for row in rows {
            tenants.entry(row.tenant.clone()).or_default().push(row);
        }
        // As when they were deployed: several tenants at a time, and the handlers of each in turn.
        let revived = futures_util::stream::iter(tenants.into_values()).map(|rows| self.revive_all(rows));
        let mut revived = std::pin::pin!(revived.buffer_unordered(PREPARING));
        while let Some(deployments) = revived.next().await {
            table.extend(deployments);
        }
        telemetry::restored(table.len());
        self.switch((None, changing), table, Record::Nothing).await?;
        self.end_left().await
    }

    /// Ends subscriptions that nothing has which is deployed: the host ended while they were being ended, after what was
    /// kept of their handler was removed or changed. Those of a handler that does not run wait for it.
    async fn end_left(&self) -> Result<(), Refusal> {
        let _changing = self.changing.lock().await;
        for one in self.parts.broker.absent() {
            let is_of = |(tenant, name): &(Tenant, HandlerName)| {
                one.id.tenant() == tenant.as_str() && one.id.handler() == name.as_str()
            };
            let waits = self.failed.read().keys().any(is_of);
            if one.place == Place::Local && !waits {
                let left = self.parts.broker.unsubscribe(&one.id).await?;
                telemetry::ended_late(&one.id, left.discarded, left.handed_over);
            }
        }
        Ok(())
    }

    /// What of a tenant's handlers can run; the others are told and listed as failed.
    async fn revive_all(&self, rows: Vec<Row>) -> Vec<((Tenant, HandlerName), Deployment)> {
        let mut deployments = Vec::with_capacity(rows.len());
        for Row { tenant, name, document } in rows {
            let deployed = document.as_ref().ok().map(|document| document.deployed());
            let revived = match document {
                Ok(document) => self.revive(&tenant, document).await.map_err(|refusal| refusal.to_string()),
                Err(reason) => Err(reason),
            };
            match revived {
                Ok(deployment) => deployments.push(((tenant, name), deployment)),
                Err(reason) => {
                    telemetry::not_restored(tenant.as_str(), name.as_str(), &reason);
                    let failed = Failed { name: name.clone(), deployed, reason };
                    self.failed.write().insert((tenant, name), failed);
                }
            }
        }
        deployments
    }

    async fn revive(&self, tenant: &Tenant, document: Document) -> Result<Deployment, Refusal> {
        let mut handler = specification::handler(tenant, &document.manifest)?;
        self.retain_permitted(&mut handler);
        let handler = Arc::new(handler);
        let mut took = Stages::silent();
        let (guest, world, files) = self.prepare(&handler, &mut took).await?;
        if let Some(files) = files {
            files.keep();
        }
        let took = took.ended();
        let (manifest, deployed_at) = document.deployed();
        Ok(Deployment { handler, guest, world, deployed_at, manifest, previous: document.previous.map(Arc::new), took })
    }
}
