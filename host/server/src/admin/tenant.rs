//! The tenant and the name in a path, checked.

use axum::extract::{FromRequestParts, OriginalUri, Path};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use hostel_event::name::Tenant;

use crate::access::Granted;
use crate::answer::Failure;

/// The tenant that a path names, and what else it names: `()` where that is nothing.
pub(super) struct InTenant<T = Named> {
    pub(super) tenant: Tenant,
    pub(super) rest: T,
}

/// A path that ends in a name, a digest or an id.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    #[serde(alias = "name", alias = "digest")]
    pub(super) id: String,
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InTenant<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        // The router has cut the tenant off the other one.
        let whole = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
        let unknown = || Failure::unknown_path(whole.path());
        // Whoever let the request in has read the tenant, and knows that it is there.
        let tenant = parts.extensions.get::<Granted>().and_then(|granted| granted.tenant.clone());
        let tenant = tenant.ok_or_else(unknown)?;
        let mut of_path = parts.clone();
        let Path(rest) = Path::from_request_parts(&mut of_path, state).await.map_err(|_| unknown())?;
        Ok(Self { tenant, rest })
    }
}
