//! The tenants of this host: which there are, how much each may use, and which of its topics others may hear.
//!
//! Those that the config names are always there; what else an operator creates is kept in the log. Nothing that belongs
//! to a tenant is here, only what the operator says of it.

pub(crate) mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use hostel_api::tenant::{Export, QuotaDocument, TenantDocument};
use hostel_dispatch::quota::Quotas;
use hostel_event::name::Tenant;
use hostel_event::pattern::Pattern;
use hostel_event::quota::Quota;
use hostel_event::time::Timestamp;

use crate::access::cover::covers;
use crate::deploy::Refusal;

use documents::Documents;

/// The most tenants of a host. Arbitrary: ten times what one machine is meant for.
const LIMIT: usize = 10_000;
/// The most exports of a tenant, and the most patterns and tenants in one. Arbitrary.
const EXPORTS: usize = 100;

/// Topics, and who may hear them.
pub(crate) type Exported = (Vec<Pattern>, BTreeSet<Tenant>);

/// What is known of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// What the operator says of it.
    pub(crate) document: TenantDocument,
    pub(crate) created_at: Timestamp,
    pub(crate) named_by: NamedBy,
    exports: Vec<Exported>,
}

/// Who says that a tenant is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// An operator, by the API.
    Operator,
    /// A listener of the config serves it; what else is said of it is up to the operator.
    Listener,
    /// The config, which says all there is to say of it.
    Config,
}

/// As it is kept. Keys that a later version adds are passed over.
#[derive(Serialize, Deserialize)]
struct Kept {
    document: TenantDocument,
    /// Milliseconds since 1970.
    created_at: u64,
}

/// What the config says of tenants.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    /// Those that listeners serve.
    pub(crate) served: BTreeSet<Tenant>,
    /// Those that it describes.
    pub(crate) described: BTreeMap<Tenant, TenantDocument>,
}

/// See the module's page.
pub(crate) struct Tenants {
    documents: Documents,
    /// Holds them to what they may use.
    quotas: Arc<Quotas>,
    table: RwLock<BTreeMap<Tenant, Arc<Record>>>,
    /// Held for the length of a change.
    changing: tokio::sync::Mutex<()>,
}

impl Tenants {
    /// Those that are kept, and those that the config names.
    ///
    /// # Errors
    /// They cannot be read, or the config says of one what cannot be.
    pub(crate) async fn open(
        (documents, quotas): (Documents, Arc<Quotas>),
        configured: Configured,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let mut table = BTreeMap::new();
        for (name, kept) in documents.read::<Kept>().await? {
            let tenant = Tenant::new(&name).map_err(|error| {
                Refusal::Internal(format!("the log keeps a tenant under a malformed name: {error}"))
            })?;
            let created_at = Timestamp::from_millis(kept.created_at);
            let record = Record::new(&tenant, kept.document, created_at, NamedBy::Operator)?;
            table.insert(tenant, Arc::new(record));
        }
        for tenant in configured.served {
            let known = table.get(&tenant).map(|known: &Arc<Record>| Record::clone(known));
            let record = match known {
                Some(known) => Record { named_by: NamedBy::Listener, ..known },
                None => Record::new(&tenant, TenantDocument::default(), now, NamedBy::Listener)?,
            };
            table.insert(tenant, Arc::new(record));
        }
        for (tenant, document) in configured.described {
            let created_at = table.get(&tenant).map_or(now, |known| known.created_at);
            let record = Record::new(&tenant, document, created_at, NamedBy::Config)?;
            table.insert(tenant, Arc::new(record));
        }
        for (tenant, record) in &table {
            quotas.set(tenant, record.quota());
        }
        Ok(Self { documents, quotas, table: RwLock::new(table), changing: tokio::sync::Mutex::default() })
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, tenant: &Tenant) -> bool {
        self.table.read().contains_key(tenant)
    }

    /// One of them.
    pub(crate) fn get(&self, tenant: &Tenant) -> Option<Arc<Record>> {
        self.table.read().get(tenant).cloned()
    }

    /// All of them, by name: those after `after` if given, at most `limit`.
    pub(crate) fn list(&self, after: Option<&Tenant>, limit: usize) -> Vec<(Tenant, Arc<Record>)> {
        let table = self.table.read();
        let later = table.iter().filter(|(tenant, _)| after.is_none_or(|after| *tenant > after));
        later.take(limit).map(|(tenant, record)| (tenant.clone(), Arc::clone(record))).collect()
    }

    /// Says something else of a tenant, or creates it; says also whether it was not there before.
    pub(crate) async fn put(
        &self,
        tenant: &Tenant,
        document: TenantDocument,
        now: Timestamp,
    ) -> Result<(Arc<Record>, bool), Refusal> {
        let _changing = self.changing.lock().await;
        let known = self.get(tenant);
        if known.as_ref().is_some_and(|known| known.named_by == NamedBy::Config) {
            return Err(Refusal::TenantOfConfig(format!("the config says what tenant `{tenant}` is")));
        }
        if known.is_none() && self.table.read().len() >= LIMIT {
            return Err(Refusal::Limit(format!("there are {LIMIT} tenants already, as many as a host may have")));
        }
        let created_at = known.as_ref().map_or(now, |known| known.created_at);
        let named_by = known.as_ref().map_or(NamedBy::Operator, |known| known.named_by);
        let record = Arc::new(Record::new(tenant, document, created_at, named_by)?);
        let kept = Kept { document: record.document.clone(), created_at: created_at.as_millis() };
        self.documents.put(tenant.as_str(), &kept).await?;
        self.table.write().insert(tenant.clone(), Arc::clone(&record));
        self.quotas.set(tenant, record.quota());
        Ok((record, known.is_none()))
    }

    /// Takes tenants in that are none yet and have handlers: those of a host that did not know tenants.
    pub(crate) async fn adopt(&self, tenants: BTreeSet<Tenant>, now: Timestamp) -> Result<(), Refusal> {
        for tenant in tenants {
            if !self.has(&tenant) {
                self.put(&tenant, TenantDocument::default(), now).await?;
            }
        }
        Ok(())
    }

    /// Begins to delete a tenant: from now on nobody finds it. What is to go with it goes before [`Leaving::forget`].
    ///
    /// # Errors
    /// The config names it, or there is none.
    pub(crate) fn leave(&self, tenant: &Tenant) -> Result<Leaving<'_>, Refusal> {
        let mut table = self.table.write();
        let record = table.get(tenant).cloned().ok_or_else(|| Refusal::NoTenant(tenant.clone()))?;
        if record.named_by != NamedBy::Operator {
            return Err(Refusal::TenantOfConfig(format!("the config names tenant `{tenant}`")));
        }
        table.remove(tenant);
        drop(table);
        Ok(Leaving { tenants: self, tenant: tenant.clone(), record: Some(record) })
    }

    /// Whether a tenant may hear these topics of another: whether that one exports what covers them. Everybody may hear
    /// his own.
    pub(crate) fn may_hear(&self, tenant: &Tenant, source: &Tenant, pattern: &Pattern) -> bool {
        tenant == source || self.get(source).is_some_and(|record| record.exports_to(tenant, pattern))
    }
}

/// A tenant that is being deleted. Dropped before it is forgotten, it is back.
pub(crate) struct Leaving<'a> {
    tenants: &'a Tenants,
    tenant: Tenant,
    record: Option<Arc<Record>>,
}

impl Leaving<'_> {
    /// Forgets it for good.
    pub(crate) async fn forget(mut self) -> Result<(), Refusal> {
        self.tenants.documents.remove(&[self.tenant.as_str()]).await?;
        self.tenants.quotas.remove(&self.tenant);
        self.record = None;
        Ok(())
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.tenants.table.write().insert(self.tenant.clone(), record);
        }
    }
}

impl Record {
    fn new(
        tenant: &Tenant,
        document: TenantDocument,
        created_at: Timestamp,
        named_by: NamedBy,
    ) -> Result<Self, Refusal> {
        let exports = exports(tenant, &document.exports).map_err(Refusal::Manifest)?;
        Ok(Self { document, created_at, named_by, exports })
    }

    /// How much of the host it may use.
    pub(crate) fn quota(&self) -> Quota {
        quota(&self.document.quota)
    }

    /// How many handlers it may have.
    pub(crate) fn handlers(&self) -> Option<usize> {
        self.quota().handlers
    }

    fn exports_to(&self, tenant: &Tenant, pattern: &Pattern) -> bool {
        let covering = |(topics, to): &Exported| to.contains(tenant) && topics.iter().any(|wide| covers(wide, pattern));
        self.exports.iter().any(covering)
    }
}

/// What cannot be in exports is told by its key.
pub(crate) fn exports(tenant: &Tenant, written: &[Export]) -> Result<Vec<Exported>, String> {
    if written.len() > EXPORTS {
        return Err(format!("`exports` has {} entries, more than {EXPORTS}", written.len()));
    }
    let mut exports = Vec::with_capacity(written.len());
    for (at, export) in written.iter().enumerate() {
        for (key, count) in [("topics", export.topics.len()), ("to", export.to.len())] {
            if count == 0 || count > EXPORTS {
                return Err(format!("`exports[{at}].{key}` must have 1 to {EXPORTS} entries"));
            }
        }
        let topic = |text: &String| Pattern::new(text).map_err(|error| format!("`exports[{at}].topics`: {error}"));
        let name = |text: &String| match Tenant::new(text) {
            Ok(other) if other == *tenant => Err(format!("`exports[{at}].to`: `{text}` hears its own topics anyway")),
            Ok(other) => Ok(other),
            Err(error) => Err(format!("`exports[{at}].to`: {error}")),
        };
        let topics = export.topics.iter().map(topic).collect::<Result<_, _>>()?;
        exports.push((topics, export.to.iter().map(name).collect::<Result<_, _>>()?));
    }
    Ok(exports)
}

fn quota(written: &QuotaDocument) -> Quota {
    let number = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Quota {
        events: written.events,
        deliveries: written.deliveries,
        invocations: written.invocations.and_then(|count| NonZeroUsize::new(number(count.get()))),
        cpu: written.cpu.map(|span| span.0),
        memory: written.memory.map(|size| size.0),
        stored_bytes: written.stored_bytes.map(|size| size.0),
        handlers: written.handlers.map(number),
        connections: written.connections.map(number),
        weight: written.weight.unwrap_or(Quota::UNLIMITED.weight),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hostel_log::log::Log;
    use hostel_log::record::Kind;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    fn document(text: &str) -> TenantDocument {
        TenantDocument::from_toml(text, "tenant.toml").unwrap()
    }

    fn log(folder: &Path) -> Option<Arc<Log>> {
        let settings = hostel_log::settings::Settings { reserve: 0, ..hostel_log::settings::Settings::default() };
        Some(Arc::new(Log::open(folder, settings).unwrap()))
    }

    async fn open(log: Option<Arc<Log>>, configured: Configured) -> Result<Tenants, Refusal> {
        let quotas = Arc::new(Quotas::new());
        Tenants::open((Documents::new(log, Kind::Tenant), quotas), configured, NOW).await
    }

    fn serving(name: &str) -> Configured {
        Configured { served: BTreeSet::from([tenant(name)]), ..Configured::default() }
    }

    #[tokio::test]
    async fn what_an_operator_says_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let acme = tenant("acme");
        {
            let tenants = open(log(folder.path()), serving("default")).await.unwrap();
            let (record, created) = tenants.put(&acme, document("[quota]\nhandlers = 3"), NOW).await.unwrap();
            assert_eq!((record.handlers(), created), (Some(3), true));
            let (_, created) = tenants.put(&acme, document("[quota]\nhandlers = 4"), NOW).await.unwrap();
            assert!(!created);
            tenants.put(&tenant("default"), document("[quota]\nevents = 9"), NOW).await.unwrap();
        }
        let tenants = open(log(folder.path()), serving("default")).await.unwrap();
        assert_eq!(tenants.get(&acme).unwrap().handlers(), Some(4));
        let default = tenants.get(&tenant("default")).unwrap();
        assert_eq!((default.quota().events.unwrap().get(), default.named_by), (9, NamedBy::Listener));
        let names: Vec<_> = tenants.list(None, 10).into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["acme", "default"]);
        assert_eq!(tenants.list(Some(&acme), 10).len(), 1);
        tenants.leave(&acme).unwrap().forget().await.unwrap();
        drop(tenants);
        assert!(!open(log(folder.path()), serving("default")).await.unwrap().has(&acme));
    }

    #[tokio::test]
    async fn what_the_config_names_stays() {
        let described = BTreeMap::from([(tenant("acme"), document("[quota]\nhandlers = 3"))]);
        let tenants = open(None, Configured { described, ..serving("default") }).await.unwrap();
        let refused = tenants.put(&tenant("acme"), TenantDocument::default(), NOW).await.unwrap_err();
        assert_eq!(refused.to_string(), "the config says what tenant `acme` is");
        for name in ["acme", "default"] {
            assert!(tenants.leave(&tenant(name)).is_err(), "{name}");
        }
        assert!(matches!(tenants.leave(&tenant("globex")), Err(Refusal::NoTenant(_))));
    }

    #[tokio::test]
    async fn a_tenant_that_could_not_be_deleted_is_back() {
        let tenants = open(None, Configured::default()).await.unwrap();
        let acme = tenant("acme");
        tenants.put(&acme, TenantDocument::default(), NOW).await.unwrap();
        let leaving = tenants.leave(&acme).unwrap();
        assert!(!tenants.has(&acme));
        drop(leaving);
        assert!(tenants.has(&acme));
    }

    #[tokio::test]
    async fn topics_are_heard_as_far_as_they_are_exported() {
        let tenants = open(None, Configured::default()).await.unwrap();
        let exporting = document("[[exports]]\ntopics = ['orders.>', 'paid']\nto = ['billing']");
        tenants.put(&tenant("shop"), exporting, NOW).await.unwrap();
        let check = |who: &str, source: &str, pattern: &str, expected: bool| {
            let heard = tenants.may_hear(&tenant(who), &tenant(source), &Pattern::new(pattern).unwrap());
            assert_eq!(heard, expected, "{who} of {source}: {pattern}");
        };
        check("billing", "shop", "orders.created", true);
        check("billing", "shop", "orders.*", true);
        check("billing", "shop", "paid", true);
        check("billing", "shop", ">", false);
        check("billing", "shop", "users.created", false);
        check("globex", "shop", "orders.created", false);
        check("billing", "nobody", "orders.created", false);
        check("globex", "globex", ">", true);
    }

    #[test]
    fn exports_that_cannot_be_are_told_by_their_key() {
        let check = |text: &str, expected: &str| {
            let error = exports(&tenant("shop"), &document(text).exports).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        };
        check("[[exports]]\ntopics = ['a..b']\nto = ['b']", "`exports[0].topics`: pattern `a..b` has");
        check("[[exports]]\ntopics = ['a']\nto = ['B']", "`exports[0].to`: tenant `B` has");
        check("[[exports]]\ntopics = ['a']\nto = ['shop']", "`exports[0].to`: `shop` hears its own topics anyway");
        check("[[exports]]\ntopics = ['a']\nto = []", "`exports[0].to` must have 1 to 100 entries");
    }
}
