//! What the operator has for tenants: a port, asked anew each time, so that a change holds at once.

use std::sync::Arc;

use hostel_event::handler::Digest;
use hostel_event::name::Tenant;

use crate::capability::files::Files;

/// What the operator has for tenants. Its methods are called while a guest waits: they must not block.
pub trait Provision: Send + Sync {
    /// The value of a tenant's secret; `None` if it has none of that name. Asked only for names that stand in the
    /// handler's manifest.
    fn secret(&self, tenant: &Tenant, name: &str) -> Option<Arc<str>>;

    /// How many connections a tenant's handlers may have open to the outside; `None`: as many as there are.
    fn connections(&self, tenant: &Tenant) -> Option<usize>;

    /// The files of this bundle of a tenant; `None` if they are not ready. Asked only for the one that stands in the
    /// handler's manifest, which the host has ready before the handler runs.
    fn files(&self, tenant: &Tenant, bundle: &Digest) -> Option<Files>;
}

/// Nobody has secrets, and nobody is held to a number of connections.
pub(crate) struct Nothing;

impl Provision for Nothing {
    fn secret(&self, _: &Tenant, _: &str) -> Option<Arc<str>> {
        None
    }

    fn connections(&self, _: &Tenant) -> Option<usize> {
        None
    }

    fn files(&self, _: &Tenant, _: &Digest) -> Option<Files> {
        None
    }
}
