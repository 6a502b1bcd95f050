//! TLS for the listeners: a certificate from files, or one that the host makes for itself as go-micro does.
//!
//! Files are looked at again once a second while somebody connects, so that a renewed certificate serves without a
//! restart. One that cannot be read leaves the old one serving, and the log says why.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use hostel_api::problem::Code;

use crate::config::load::Mistake;
use crate::config::{Admin, Ingress};
use crate::private;
use crate::telemetry;

/// How often the files are looked at. Arbitrary: soon for a person, seldom for a disk.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
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

/// What a listener shows to its clients; `None` if it speaks plain HTTP.
///
/// # Errors
/// The files cannot be read, do not fit together, or none could be made.
pub(crate) fn acceptor(
    config: &Settings<'_>,
    data_dir: &Path,
    listens: &[SocketAddr],
) -> Result<Option<TlsAcceptor>, Mistake> {
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
    let served = Served::read(files, &provider).map_err(|error| mistake(&error))?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| mistake(&error.to_string()))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(served));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
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
    /// When either last changed; `None` if one cannot be looked at.
    fn changed(&self) -> Option<(SystemTime, SystemTime)> {
        let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        Some((modified(&self.certificate)?, modified(&self.key)?))
    }

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

/// The certificate that is served, and when its files were looked at.
#[derive(Debug)]
struct Served {
    files: Files,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    changed: Option<(SystemTime, SystemTime)>,
    looked: Instant,
}

impl Served {
    fn read(files: Files, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let changed = files.changed();
        let key = Arc::new(files.read(provider)?);
        let current = RwLock::new(Current { key, changed, looked: Instant::now() });
        Ok(Self { files, provider: Arc::clone(provider), current })
    }

    fn key(&self) -> Arc<CertifiedKey> {
        let now = Instant::now();
        {
            let current = self.current.read();
            if now.duration_since(current.looked) < LOOK_AGAIN {
                return Arc::clone(&current.key);
            }
        }
        let mut current = self.current.write();
        // Who waited for the lock finds that another has looked.
        if now.duration_since(current.looked) < LOOK_AGAIN {
            return Arc::clone(&current.key);
        }
        current.looked = now;
        let changed = self.files.changed();
        if changed.is_some() && changed != current.changed {
            match self.files.read(&self.provider) {
                Ok(key) => {
                    current.key = Arc::new(key);
                    telemetry::certificate_changed(&self.files.certificate);
                }
                // Remembered as seen all the same: what is said once need not be said every second.
                Err(error) => telemetry::certificate_unusable(&error),
            }
            current.changed = changed;
        }
        Arc::clone(&current.key)
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
    let young = files.changed().and_then(|(made, _)| made.elapsed().ok()).is_some_and(|age| age < OWN_AGE);
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
        let served = Served::read(files.clone(), &provider()).unwrap();
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
