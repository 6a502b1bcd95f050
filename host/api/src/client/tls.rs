//! Connections to a host, plain or over TLS, and which hosts are believed to be who they say.
//!
//! Certificates are checked against the system's authorities and those of one file. There is no way to leave that out: a
//! token goes over these connections.

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::ClientError;

type Failed = Box<dyn Error + Send + Sync>;

/// How a client speaks TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file of authorities to trust beside the system's.
    pub authorities: Option<PathBuf>,
    /// What it shows of itself to a host that asks for a certificate.
    pub certificate: Option<Certificate>,
}

/// A certificate of a client's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, PEM, its own first.
    pub chain: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Whether a connection ended because the host wanted a certificate of ours, or did not like the one it got.
pub(super) fn is_about_our_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // An error of I/O has what it is about in itself, and shows the cause of that.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref());
        if let Some(rustls::Error::AlertReceived(alert)) = tls {
            return is_of_a_certificate(*alert);
        }
        next = error.source();
    }
    false
}

const fn is_of_a_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
    )
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    plain: HttpConnector,
    /// `None` where nothing is asked over TLS.
    tls: Option<TlsConnector>,
}

impl Connector {
    /// For plain connections alone.
    pub(super) fn plain(plain: HttpConnector) -> Self {
        Self { plain, tls: None }
    }

    /// For both.
    pub(super) fn tls(mut plain: HttpConnector, settings: &Tls) -> Result<Self, ClientError> {
        plain.enforce_http(false);
        let invalid = |error: rustls::Error| ClientError::Invalid(format!("cannot set up TLS: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(invalid)?;
        let builder = builder.with_root_certificates(roots(settings.authorities.as_deref())?);
        let mut config = match &settings.certificate {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = (certificates(&own.chain)?, key(&own.key)?);
                let both = |error| {
                    let (chain, key) = (own.chain.display(), own.key.display());
                    ClientError::Invalid(format!("`{key}` cannot be used as the key of `{chain}`: {error}"))
                };
                builder.with_client_auth_cert(chain, key).map_err(both)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { plain, tls: Some(TlsConnector::from(Arc::new(config))) })
    }
}

/// The system's authorities and those of the file. What the system has and cannot be read is left out: whether a host is
/// believed then says the handshake.
fn roots(file: Option<&Path>) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = file
        && roots.add_parsable_certificates(certificates(path)?).0 == 0
    {
        let shown = path.display();
        return Err(ClientError::Invalid(format!("`{shown}` has no certificate that can be used")));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let shown = path.display();
    let unreadable = |error| ClientError::Invalid(format!("cannot read certificates from `{shown}`: {error}"));
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(unreadable)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, ClientError> {
    let shown = path.display();
    let unreadable = |error| ClientError::Invalid(format!("cannot read a private key from `{shown}`: {error}"));
    PrivateKeyDer::from_pem_file(path).map_err(unreadable)
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failed>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.plain.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let is_secure = uri.scheme_str() == Some("https");
        let (host, tls) = (uri.host().unwrap_or_default().to_owned(), self.tls.clone());
        let connecting = self.plain.call(uri);
        Box::pin(async move {
            let stream = connecting.await?;
            match tls.filter(|_| is_secure) {
                None => Ok(Stream::Plain(stream)),
                Some(tls) => {
                    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                    let stream = tls.connect(ServerName::try_from(host)?, stream.into_inner()).await?;
                    Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
                }
            }
        })
    }
}

/// A connection.
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    /// Boxed, for it is many times as large.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, to),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, to),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
