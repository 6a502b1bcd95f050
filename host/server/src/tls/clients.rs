//! Which certificates the clients of a listener show: those that authorities of the operator's choice have signed.
//!
//! What a certificate may do, once it is known to be good, is decided in [`crate::access`].

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::config::access::ClientCertificates;

/// What the config says of a listener's clients.
#[derive(Debug, Clone)]
pub(crate) struct Clients<'a> {
    /// Where the config says so, such as `ingress.client_ca`.
    pub(crate) key: String,
    /// A PEM file of the authorities that sign their certificates; empty: none is asked for.
    pub(crate) authorities: &'a Path,
    /// Whether one must be shown.
    pub(crate) certificates: ClientCertificates,
}

impl Clients<'_> {
    pub(super) fn are_asked(&self) -> bool {
        !self.authorities.as_os_str().is_empty()
    }
}

/// The authorities in a PEM file. Every one must be usable: one that is passed over would lock its clients out, and
/// nothing would say why.
///
/// # Errors
/// The file cannot be read, has none, or has one that cannot be used.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let shown = path.display();
    let unreadable = |error| format!("cannot read `{shown}`: {error}");
    let mut roots = RootCertStore::empty();
    for (at, certificate) in CertificateDer::pem_file_iter(path).map_err(unreadable)?.enumerate() {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(|error| format!("certificate {} of `{shown}`: {error}", at + 1))?;
    }
    if roots.is_empty() {
        return Err(format!("there is no certificate in `{shown}`"));
    }
    Ok(roots)
}

/// What checks the certificates of clients.
pub(super) fn verifier(
    path: &Path,
    certificates: ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider);
    let builder = match certificates {
        ClientCertificates::Required => builder,
        ClientCertificates::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| format!("cannot use `{}`: {error}", path.display()))
}
