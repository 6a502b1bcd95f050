//! TLS for the listeners: a certificate from files, or one that the host makes for itself as go-micro does.
//!
//! Files are looked at again once a second while somebody connects, so that a renewed certificate serves without a
//! restart, and so do other authorities for the certificates of clients. What cannot be read leaves the old one, and the
//! log says why.

pub(crate) mod clients;
mod fresh;

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use hostel_api::problem::Code;

use crate::config::load::Mistake;
use crate::config::{Admin, Ingress};
use crate::private;

use clients::Clients;
use fresh::Fresh;

/// How long a certificate of our own is good, as go-micro's.
const OWN_VALIDITY: time::Duration = time::Duration::days(365);
/// A certificate of our own that is older than this is made anew at the next start.
const OWN_AGE: Duration = Duration::from_secs(300 * 24 * 60 * 60);

/// What the config says of a listener's TLS.
pub(crate) struct Settings<'a> {
    /// The config's table.
    table: &'static str,
    secure: bool,
    certificate: &'a Path,
    key: &'a Path,
    /// Where a certificate of the host's own is kept, in the data directory.
    folder: &'static str,
}

impl<'a> From<&'a Ingress> for Settings<'a> {
    fn from(config: &'a Ingress) -> Self {
        let Ingress { secure, certificate, key, .. } = config;
        Self { table: "ingress", secure: *secure, certificate, key, folder: "tls" }
    }
}

impl<'a> From<&'a Admin> for Settings<'a> {
    fn from(config: &'a Admin) -> Self {
        let Admin { secure, certificate, key, .. } = config;
        Self { table: "admin", secure: *secure, certificate, key, folder: "tls-admin" }
    }
}

/// What listeners show to their clients; `None` if they speak plain HTTP.
///
/// # Errors
/// The files cannot be read, do not fit together, or none could be made.
pub(crate) fn certificate(
    config: &Settings<'_>,
    data_dir: &Path,
    listens: &[SocketAddr],
) -> Result<Option<Certificate>, Mistake> {
    let mistake = |text: &str| mistake(config.table, text);
    if !config.secure {
        return Ok(None);
    }
    let files = if config.certificate.as_os_str().is_empty() {
        own(&data_dir.join(config.folder), listens)
            .map_err(|error| mistake(&format!("cannot make a certificate: {error}")))?
    } else {
        Files { certificate: config.certificate.to_owned(), key: config.key.to_owned() }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let served = Served::open(files, &provider).map_err(|error| mistake(&error))?;
    Ok(Some(Certificate { served: Arc::new(served), provider }))
}

/// A certificate that listeners show.
pub(crate) struct Certificate {
    served: Arc<Served>,
    provider: Arc<CryptoProvider>,
}

/// TLS as one listener speaks it.
pub(crate) struct Tls(Fresh<TlsAcceptor>);

impl Tls {
    /// TLS with this certificate, for these clients.
    ///
    /// # Errors
    /// The authorities that the clients' certificates are signed by cannot be read.
    pub(crate) fn open(shown: &Certificate, clients: &Clients<'_>) -> Result<Self, Mistake> {
        let Certificate { served, provider } = shown;
        let (served, provider) = (Arc::clone(served), Arc::clone(provider));
        let authorities = clients.are_asked().then(|| clients.authorities.to_owned());
        let certificates = clients.certificates;
        let files = authorities.clone().into_iter().collect();
        let opened = Fresh::open(files, move || {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
            let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
            let resolver = Arc::<Served>::clone(&served);
            let mut config = match &authorities {
                None => builder.with_no_client_auth().with_cert_resolver(resolver),
                Some(path) => {
                    let verifier = clients::verifier(path, certificates, Arc::clone(&provider))?;
                    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
                    // A session that is taken up again brings the certificate that it began with, unchecked: one of an
                    // authority that has been taken out since would still count.
                    config.session_storage = Arc::new(NoServerSessionStorage {});
                    config.send_tls13_tickets = 0;
                    config
                }
            };
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(TlsAcceptor::from(Arc::new(config)))
        });
        opened
            .map(Self)
            .map_err(|error| Mistake { code: Code::BadConfigValue, text: format!("`{}`: {error}", clients.key) })
    }

    /// What takes the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.get()
    }
}

fn mistake(table: &str, text: &str) -> Mistake {
    Mistake { code: Code::BadConfigValue, text: format!("`{table}.certificate` and `{table}.key`: {text}") }
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let unreadable =
            |path: &Path, error: &dyn std::fmt::Display| format!("cannot read `{}`: {error}", path.display());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| unreadable(&self.certificate, &error))?;
        if chain.is_empty() {
            return Err(format!("there is no certificate in `{}`", self.certificate.display()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unreadable(&self.key, &error))?;
        let key = provider.key_provider.load_private_key(key).map_err(|error| unreadable(&self.key, &error))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| {
            format!("`{}` is not the key of `{}`: {error}", self.key.display(), self.certificate.display())
        })?;
        Ok(certified)
    }
}

/// The certificate that is served.
struct Served(Fresh<Arc<CertifiedKey>>);

impl Served {
    fn open(files: Files, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let provider = Arc::clone(provider);
        let watched = vec![files.certificate.clone(), files.key.clone()];
        Fresh::open(watched, move || files.read(&provider).map(Arc::new)).map(Self)
    }

    fn key(&self) -> Arc<CertifiedKey> {
        self.0.get()
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

/// A certificate of this host's own for the addresses that it listens on, made if there is none that serves. It is kept,
/// so that peers can be told to trust it.
fn own(folder: &Path, listens: &[SocketAddr]) -> Result<Files, String> {
    let files = Files { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    let names = folder.join("addresses.txt");
    let addresses = addresses(listens).map_err(|error| error.to_string())?;
    let wanted: String = addresses.iter().map(|address| format!("{address}\n")).collect();
    let made = fresh::changed(&[files.certificate.clone(), files.key.clone()]);
    let made = made.and_then(|changed| changed.first().copied());
    let young = made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age < OWN_AGE);
    if young && fs::read_to_string(&names).is_ok_and(|known| known == wanted) {
        return Ok(files);
    }
    let (certificate, key) = generate(&addresses).map_err(|error| error.to_string())?;
    let kept = || {
        fs::create_dir_all(folder)?;
        private::write(&files.key, &key)?;
        fs::write(&files.certificate, certificate)?;
        fs::write(&names, wanted)
    };
    kept().map_err(|error| format!("cannot write to `{}`: {error}", folder.display()))?;
    Ok(files)
}

/// Where clients may reach listeners: their own addresses, or any of the machine's where one listens on all.
fn addresses(listens: &[SocketAddr]) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> =
        listens.iter().map(SocketAddr::ip).filter(|address| !address.is_unspecified()).collect();
    if addresses.len() < listens.len() {
        addresses.extend(if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip));
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

fn generate(addresses: &[IpAddr]) -> Result<(String, String), rcgen::Error> {
    let mut names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    names.push("localhost".to_owned());
    let mut parameters = rcgen::CertificateParams::new(names)?;
    parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Hostel");
    let now = time::OffsetDateTime::now_utc();
    // A clock that is a little behind ours must not refuse it.
    parameters.not_before = now - time::Duration::hours(1);
    parameters.not_after = now + OWN_VALIDITY;
    let key = rcgen::KeyPair::generate()?;
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::fresh::LOOK_AGAIN;
    use super::*;

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::ring::default_provider())
    }

    fn own_in(folder: &Path) -> Files {
        own(folder, &[SocketAddr::from(([127, 0, 0, 1], 4300))]).unwrap()
    }

    #[test]
    fn a_certificate_of_our_own_is_kept_and_made_anew_for_other_addresses() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let files = own_in(folder.path());
        let read = |files: &Files| fs::read_to_string(&files.certificate).unwrap();
        let first = read(&files);
        assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(files.read(&provider()).is_ok());
        assert_eq!(read(&own_in(folder.path())), first);
        let other = own(folder.path(), &[SocketAddr::from(([127, 0, 0, 2], 4300))]).unwrap();
        assert_ne!(read(&other), first);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = Files { key: own_in(other.path()).key, ..own_in(one.path()) };
        let error = files.read(&provider()).unwrap_err();
        assert!(error.contains("is not the key of"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_serves_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = own_in(folder.path());
        let served = Served::open(files.clone(), &provider()).unwrap();
        let shown = || served.key().cert.first().unwrap().to_vec();
        let first = shown();
        let written = fs::metadata(&files.certificate).unwrap().modified().unwrap();
        let later = |seconds| written + Duration::from_secs(seconds);
        let renew = |text: (&str, &str), at: SystemTime| {
            for (path, text) in [(&files.certificate, text.0), (&files.key, text.1)] {
                fs::write(path, text).unwrap();
                fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
            }
        };
        let (certificate, key) = generate(&[IpAddr::from([127, 0, 0, 1])]).unwrap();
        renew((&certificate, &key), later(10));
        assert_eq!(shown(), first, "not looked at yet");
        tokio::time::advance(LOOK_AGAIN).await;
        let second = shown();
        assert_ne!(second, first);
        renew(("nonsense", &key), later(20));
        tokio::time::advance(LOOK_AGAIN).await;
        assert_eq!(shown(), second, "the old one goes on serving");
    }
}
