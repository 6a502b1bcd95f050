//! The tenants' secrets: read from files and variables that the config names, and handed to nobody but the handlers that
//! name them.
//!
//! Values are in memory alone, and nothing here prints or serialises one. Files are looked at while the host runs: a new
//! value holds about a second after the file has come to rest, and what cannot be read leaves the old one in force.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use hostel_api::problem::Code;
use hostel_event::name::Tenant;

use crate::config::deploy::SecretSource;
use crate::config::load::Mistake;
use crate::stamp::Stamp;
use crate::telemetry;

/// How often files are looked at. A value is taken when two looks found the same, so that none is taken half-written.
const INTERVAL: Duration = Duration::from_millis(400);
/// The most bytes of a value. Arbitrary: some certificates with their keys.
const LIMIT: u64 = 64 * 1024;
/// What `chmod` writes for all that others than the owner may do.
const OTHERS: u32 = 0o077;

/// See the module's page.
pub(crate) struct Secrets {
    values: RwLock<BTreeMap<(Tenant, String), Arc<str>>>,
    files: Mutex<Vec<Kept>>,
}

/// A file that holds a secret.
struct Kept {
    key: (Tenant, String),
    path: PathBuf,
    /// At the last look; `None`: it was not there.
    seen: Option<Stamp>,
    /// When it was read.
    read: Option<Stamp>,
}

impl Secrets {
    /// Reads all of them. Blocks.
    ///
    /// # Errors
    /// Every one that cannot be read, told at once; never with a value.
    pub(crate) fn open(config: &BTreeMap<String, BTreeMap<String, SecretSource>>) -> Result<Self, Mistake> {
        let (mut values, mut files, mut wrong) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (tenant, secrets) in config {
            for (name, source) in secrets {
                let Ok(owner) = Tenant::new(tenant) else { continue };
                let key = (owner, name.clone());
                let value = match (&source.file, &source.env) {
                    (Some(path), _) => {
                        let (value, kept) = Kept::open(key.clone(), path);
                        files.push(kept);
                        value.map_err(|error| format!("cannot read `{}`: {error}", path.display()))
                    }
                    (None, Some(variable)) => {
                        let found = std::env::var(variable).map_err(|error| error.to_string());
                        found.and_then(|text| checked(&text)).map_err(|error| format!("variable `{variable}`: {error}"))
                    }
                    (None, None) => continue,
                };
                match value {
                    Ok(value) => {
                        values.insert(key, value);
                    }
                    Err(error) => wrong.push(format!("`secrets.{tenant}.{name}`: {error}")),
                }
            }
        }
        if !wrong.is_empty() {
            return Err(Mistake { code: Code::SecretUnusable, text: wrong.join("; ") });
        }
        Ok(Self { values: RwLock::new(values), files: Mutex::new(files) })
    }

    /// The value of a tenant's secret now.
    pub(crate) fn get(&self, tenant: &Tenant, name: &str) -> Option<Arc<str>> {
        self.values.read().get(&(tenant.clone(), name.to_owned())).cloned()
    }

    /// Whether a tenant has a secret of this name.
    pub(crate) fn has(&self, tenant: &Tenant, name: &str) -> bool {
        self.get(tenant, name).is_some()
    }

    /// Takes new values as files change, until it is told to stop.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        if self.files.lock().is_empty() {
            return;
        }
        let following = async {
            loop {
                tokio::time::sleep(INTERVAL).await;
                let this = Arc::clone(&self);
                // A panic in it has been told already, and the next look is another try.
                let _ = tokio::task::spawn_blocking(move || this.look()).await;
            }
        };
        stop.run_until_cancelled(following).await;
    }

    /// Looks at every file once.
    fn look(&self) {
        for kept in self.files.lock().iter_mut() {
            if let Some(value) = kept.look() {
                self.values.write().insert(kept.key.clone(), value);
                telemetry::secret_changed(kept.key.0.as_str(), &kept.key.1);
            }
        }
    }
}

impl Kept {
    fn open(key: (Tenant, String), path: &Path) -> (Result<Arc<str>, String>, Self) {
        let seen = Stamp::of(path).ok();
        let kept = Self { key, path: path.to_owned(), seen, read: seen };
        kept.warn_if_exposed();
        (read(path), kept)
    }

    /// A new value, once the file has changed and come to rest.
    fn look(&mut self) -> Option<Arc<str>> {
        let now = Stamp::of(&self.path).ok();
        let is_at_rest = now == self.seen;
        self.seen = now;
        if !is_at_rest || now == self.read {
            return None;
        }
        self.read = now;
        self.warn_if_exposed();
        match read(&self.path) {
            Ok(value) => Some(value),
            Err(error) => {
                telemetry::secret_unusable(self.key.0.as_str(), &self.key.1, &self.path, &error);
                None
            }
        }
    }

    fn warn_if_exposed(&self) {
        if let Some(stamp) = self.seen.filter(|stamp| stamp.mode & OTHERS != 0) {
            telemetry::secret_exposed(&self.path, stamp.mode);
        }
    }
}

/// The value in a file, without the line end that editors put there.
fn read(path: &Path) -> Result<Arc<str>, String> {
    let bytes = (|| {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    })();
    let text = String::from_utf8(bytes.map_err(|error| error.to_string())?).map_err(|_| "it is no text in UTF-8")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    checked(line.strip_suffix('\r').unwrap_or(line))
}

fn checked(text: &str) -> Result<Arc<str>, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() as u64 > LIMIT {
        return Err(format!("it has more than {LIMIT} bytes"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &Path) -> SecretSource {
        SecretSource { file: Some(path.to_owned()), env: None }
    }

    fn config(sources: &[(&str, SecretSource)]) -> BTreeMap<String, BTreeMap<String, SecretSource>> {
        let secrets = sources.iter().map(|(name, source)| ((*name).to_owned(), source.clone())).collect();
        BTreeMap::from([("acme".to_owned(), secrets)])
    }

    #[test]
    fn a_secret_is_its_tenants_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "s3cret\n").unwrap();
        let variable = SecretSource { file: None, env: Some("PATH".to_owned()) };
        let secrets = Secrets::open(&config(&[("KEY", source(&file)), ("PATH", variable)])).ok().unwrap();
        let (acme, rival) = (Tenant::new("acme").unwrap(), Tenant::new("rival").unwrap());
        assert_eq!(secrets.get(&acme, "KEY").as_deref(), Some("s3cret"));
        assert_eq!(secrets.get(&acme, "PATH").map(|value| value.to_string()), std::env::var("PATH").ok());
        assert!(!secrets.has(&rival, "KEY") && !secrets.has(&acme, "key"));
    }

    #[test]
    fn a_new_value_is_taken_once_the_file_is_at_rest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "one").unwrap();
        let secrets = Secrets::open(&config(&[("KEY", source(&file))])).ok().unwrap();
        let acme = Tenant::new("acme").unwrap();
        let check = |expected: &str| assert_eq!(secrets.get(&acme, "KEY").as_deref(), Some(expected));
        std::fs::write(&file, "second").unwrap();
        secrets.look();
        check("one");
        secrets.look();
        check("second");
        // What cannot be read changes nothing.
        std::fs::remove_file(&file).unwrap();
        secrets.look();
        secrets.look();
        check("second");
        std::fs::write(&file, "").unwrap();
        secrets.look();
        secrets.look();
        check("second");
        std::fs::write(&file, "the third\r\n").unwrap();
        secrets.look();
        secrets.look();
        check("the third");
    }

    #[test]
    fn every_secret_that_cannot_be_read_is_told_without_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            source(&path)
        };
        let sources = [
            ("A", file("empty", b"\n")),
            ("B", file("binary", b"s3cret\xff")),
            ("C", file("large", &[b'x'; 70_000])),
            ("D", source(&folder.path().join("nowhere"))),
            ("E", SecretSource { file: None, env: Some("NOT SET".to_owned()) }),
        ];
        let mistake = Secrets::open(&config(&sources)).err().unwrap();
        let text = mistake.text.replace(&*folder.path().to_string_lossy(), "");
        let expected = "`secrets.acme.A`: cannot read `/empty`: it is empty; \
                        `secrets.acme.B`: cannot read `/binary`: it is no text in UTF-8; \
                        `secrets.acme.C`: cannot read `/large`: it has more than 65536 bytes; \
                        `secrets.acme.D`: cannot read `/nowhere`: No such file or directory (os error 2); \
                        `secrets.acme.E`: variable `NOT SET`: environment variable not found";
        assert_eq!(text, expected);
    }
}
