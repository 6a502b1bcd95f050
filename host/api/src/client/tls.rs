//! Connections to a host, plain or over TLS, and which hosts are believed to be who they say.
//!
//! Certificates are checked against the system's authorities and those of one file. There is no way to leave that out: a
//! token goes over these connections.

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::ClientError;

type Failed = Box<dyn Error + Send + Sync>;

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

    /// For both. `authorities` are trusted beside the system's.
    pub(super) fn tls(mut plain: HttpConnector, authorities: Option<&Path>) -> Result<Self, ClientError> {
        plain.enforce_http(false);
        let invalid = |error: rustls::Error| ClientError::Invalid(format!("cannot set up TLS: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(invalid)?;
        let mut config = builder.with_root_certificates(roots(authorities)?).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { plain, tls: Some(TlsConnector::from(Arc::new(config))) })
    }
}

/// The system's authorities and those of the file. What the system has and cannot be read is left out: whether a host is
/// believed then says the handshake.
fn roots(file: Option<&Path>) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = file {
        let shown = path.display();
        let unreadable = |error| ClientError::Invalid(format!("cannot read certificates from `{shown}`: {error}"));
        let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
        let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(ClientError::Invalid(format!("`{shown}` has no certificate that can be used")));
        }
    }
    Ok(roots)
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
