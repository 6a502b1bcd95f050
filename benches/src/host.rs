//! The host of the HTTP rows: the binary `hostel`, as it is, on free ports and with data that is gone with its [`Home`].

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use hostel_api::client::{Client, Owner, Target};
use hostel_api::manifest::Manifest;
use hostel_api::tenant::TenantDocument;
use hostel_api::token::TokenRequest;

use crate::neighbours::resident;
use crate::scale::Scale;

/// Between two looks at how many events are acknowledged. Short against a round, long against what a look costs.
const LOOK: Duration = Duration::from_millis(1);
/// Deliveries that may wait. More than a round publishes: publishers are faster than handlers here, and what they are
/// ahead is to be handled within the round, not refused.
const WINDOW: u32 = 1_000_000;

/// A program, its config and its data, which a host finds again when it is started again.
pub(crate) struct Home {
    program: PathBuf,
    folder: TempDir,
}

/// A host that runs, with one handler.
pub(crate) struct Host {
    child: Child,
    pub(crate) ingress: SocketAddr,
    /// From when it was started until it listened, which is when all that it had kept runs again.
    pub(crate) took: Duration,
    client: Client,
    target: Target,
    home: Arc<Home>,
}

/// A tenant of a host that asks for tokens, with one that lets it do everything of its own.
pub(crate) struct Newcomer {
    pub(crate) client: Client,
    pub(crate) token: String,
}

impl Home {
    /// With this `hostel.toml`, in a temporary folder beside this program: on the disk that it was built to.
    pub(crate) fn new(program: &Path, config: &str) -> Result<Arc<Self>> {
        let folder = beside()?;
        let file = folder.path().join("hostel.toml");
        std::fs::write(&file, config).with_context(|| format!("cannot write `{}`", file.display()))?;
        Ok(Arc::new(Self { program: program.to_owned(), folder }))
    }

    /// What the host keeps.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts a host and waits until it listens.
    pub(crate) fn start(self: &Arc<Self>) -> Result<Host> {
        self.start_heard(|_| ())
    }

    /// The same. `hear` is called with each line that a handler logs, if the config has these in the host's own log, as soon
    /// as it is written.
    pub(crate) fn start_heard(self: &Arc<Self>, mut hear: impl FnMut(&str) + Send + 'static) -> Result<Host> {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .args(["serve", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"])
            .arg("--config")
            .arg(self.folder.path().join("hostel.toml"))
            .arg("--data-dir")
            .arg(self.data())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start `{}`", self.program.display()))?;
        let mut lines = BufReader::new(child.stderr.take().context("the host has no standard error")?).lines();
        let mut said = String::new();
        let (ingress, admin) = loop {
            let Some(line) = lines.next() else { bail!("the host ended; it said:\n{said}") };
            let line = line?;
            if let Some(addresses) = addresses(&line) {
                break addresses;
            }
            said.push_str(&line);
            said.push('\n');
        };
        let took = began.elapsed();
        // What the host says later is a fault, or its end. The thread ends with the host's output.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match judge(&line) {
                    Said::Talk => {}
                    Said::ByHandler(text) => hear(&text),
                    Said::Warning => warn(&line),
                }
            }
        });
        let target = Target { admin, ingress: ingress.clone(), tenant: "default".to_owned() };
        let ingress = ingress.trim_start_matches("http://").parse().context("the host's address")?;
        Ok(Host { child, ingress, took, client: Client::new(&target)?, target, home: Arc::clone(self) })
    }
}

/// A temporary folder on the disk that this program was built to: where temporary folders are may be no disk.
pub(crate) fn beside() -> Result<TempDir> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let beside = own.parent().context("this program is in no folder")?;
    tempfile::tempdir_in(beside).with_context(|| format!("cannot make a folder in `{}`", beside.display()))
}

impl Host {
    /// Starts a host with this `hostel.toml` and waits until it listens.
    pub(crate) fn start_with(program: &Path, config: &str) -> Result<Self> {
        Home::new(program, config)?.start()
    }

    /// Has it end in good order, as an operator does.
    #[expect(clippy::disallowed_methods, reason = "no guest waits for this thread: the program only measures")]
    pub(crate) fn stop(mut self) -> Result<()> {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().context("cannot run `kill`")?;
        ensure!(told.success(), "the host could not be told to end");
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the host ended with {status}");
                return Ok(());
            }
            ensure!(began.elapsed() < Scale::PATIENCE, "the host did not end in time");
            std::thread::sleep(LOOK);
        }
    }

    /// Its resident memory in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        resident(&self.child.id().to_string())
    }

    /// Makes a tenant, with the document of its quota. The host must be one that asks for tokens.
    pub(crate) async fn newcomer(&self, name: &str, document: &str) -> Result<Newcomer> {
        let file = self.home.data().join("operator-token");
        let operator = std::fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let target = Target { tenant: name.to_owned(), ..self.target.clone() };
        let client = Client::new(&target)?.with_token(operator.trim())?;
        client.put_tenant(name, &TenantDocument::from_toml(document, "tenant.toml")?).await?;
        let scopes = vec!["admin".to_owned(), "publish:>".to_owned()];
        let request = TokenRequest { name: "bench".to_owned(), scopes, ..TokenRequest::default() };
        let token = client.create_token(Owner::Tenant, &request).await?.secret;
        Ok(Newcomer { client: Client::new(&target)?.with_token(&token)?, token })
    }

    /// What asks the host.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Deploys the component as the only handler, of what a pattern matches.
    pub(crate) async fn deploy(&self, component: &Path, pattern: &str, reuse: Option<u32>) -> Result<()> {
        let bytes =
            std::fs::read(component).with_context(|| format!("cannot read component `{}`", component.display()))?;
        let digest = self.put(bytes).await?;
        self.switch(&digest, pattern, reuse).await
    }

    /// Uploads a component; gives its digest.
    pub(crate) async fn put(&self, bytes: Vec<u8>) -> Result<String> {
        let digest = format!("sha256:{}", hostel_runtime::digest(&bytes));
        self.client.put_component(&digest, bytes.into()).await?;
        Ok(digest)
    }

    /// Makes a component that was uploaded the only handler's; its instances serve one event or so many.
    pub(crate) async fn switch(&self, digest: &str, pattern: &str, reuse: Option<u32>) -> Result<()> {
        // As JSON, in which what is not said is the host's default.
        let mut manifest = json!({
            "name": "hello",
            "version": "1",
            "component": digest,
            "subscriptions": [{ "pattern": pattern, "window": WINDOW }],
        });
        if let (Some(reuse), Some(fields)) = (reuse, manifest.as_object_mut()) {
            fields.insert("reuse".to_owned(), reuse.into());
        }
        let manifest: Manifest = serde_json::from_value(manifest)?;
        self.client.deploy(&manifest).await?;
        Ok(())
    }

    /// How many events were acknowledged since the host started. Fails when one was tried again or given up.
    pub(crate) async fn acked(&self) -> Result<usize> {
        let subscriptions = self.client.subscriptions().await?;
        let [own] = subscriptions.as_slice() else { bail!("the host has {} subscriptions", subscriptions.len()) };
        let failed = own.retried + own.dead_lettered;
        ensure!(failed == 0, "{failed} attempts failed");
        Ok(usize::try_from(own.acked)?)
    }

    /// Waits until exactly `total` events were acknowledged.
    pub(crate) async fn wait_until_acked(&self, total: usize) -> Result<()> {
        let began = Instant::now();
        loop {
            let acked = self.acked().await?;
            if acked >= total {
                ensure!(acked == total, "{acked} events were acknowledged and {total} published");
                return Ok(());
            }
            ensure!(began.elapsed() < Scale::PATIENCE, "{acked} of {total} events were acknowledged in time");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Host {
    /// An error means that it has ended already.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the host listens, if a line of its log says so.
fn addresses(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    let text = |name: &str| fields.get(name)?.as_str().map(str::to_owned);
    Some((text("ingress")?, text("admin")?))
}

/// What a line of the host's log is.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Of no more than interest.
    Talk,
    /// Text that a handler logged.
    ByHandler(String),
    /// Something that nobody expects.
    Warning,
}

fn judge(line: &str) -> Said {
    let Ok(line) = serde_json::from_str::<Value>(line) else { return Said::Warning };
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str);
    match (text("/target"), text("/level")) {
        (Some("handler"), _) => Said::ByHandler(text("/fields/text").unwrap_or_default().to_owned()),
        (_, Some("INFO")) => Said::Talk,
        _ => Said::Warning,
    }
}

#[expect(clippy::print_stderr, reason = "what a host says against its measurement is for the person who runs it")]
fn warn(line: &str) {
    eprintln!("the host: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_where_the_host_listens_is_found() {
        let line = r#"{"level":"INFO","fields":{"message":"ready","ingress":"http://a:1","admin":"http://b:2"}}"#;
        assert_eq!(addresses(line), Some(("http://a:1".to_owned(), "http://b:2".to_owned())));
        assert_eq!(addresses(r#"{"level":"INFO","fields":{"message":"deployed"}}"#), None);
    }

    #[test]
    fn a_warning_is_more_than_talk() {
        assert_eq!(judge(r#"{"level":"INFO","fields":{"message":"deployed"}}"#), Said::Talk);
        assert_eq!(judge(r#"{"level":"WARN","fields":{"message":"no pool"}}"#), Said::Warning);
        assert_eq!(judge("thread panicked"), Said::Warning);
        let line = r#"{"level":"INFO","fields":{"handler":"hello","text":"7 a:1"},"target":"handler"}"#;
        assert_eq!(judge(line), Said::ByHandler("7 a:1".to_owned()));
    }
}
