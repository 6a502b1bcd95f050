//! What the operator has for tenants, as the runtime asks for it.

use std::sync::Arc;

use hostel_dispatch::quota::Quotas;
use hostel_event::handler::Digest;
use hostel_event::name::Tenant;
use hostel_runtime::Provision;

use crate::deploy::files::Files;
use crate::secrets::Secrets;

/// The tenants' secrets, quotas and files.
pub(crate) struct Provided {
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) files: Arc<Files>,
}

impl Provision for Provided {
    fn secret(&self, tenant: &Tenant, name: &str) -> Option<Arc<str>> {
        self.secrets.get(tenant, name)
    }

    fn connections(&self, tenant: &Tenant) -> Option<usize> {
        self.quotas.of(tenant).connections
    }

    fn files(&self, tenant: &Tenant, bundle: &Digest) -> Option<hostel_runtime::Files> {
        self.files.get(tenant, bundle)
    }
}
