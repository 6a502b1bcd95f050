//! A host for a test.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use hostel_api::client::{Client, Publication, Target};
use hostel_api::manifest::Manifest;
use hostel_api::view::{HandlerView, SettledView, SubscriptionView};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::binary;

/// How long anything that should happen may take. Far beyond what it does take, on a machine that does other things
/// beside.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running host. Killed when it is dropped, with its data.
pub struct Host {
    /// Where its ingress listens.
    pub ingress: SocketAddr,
    /// Where its admin API listens.
    pub admin: SocketAddr,
    /// A client of tenant `default`. Over TLS it believes the certificate that the host made for its admin API.
    pub client: Client,
    /// Both, as URLs.
    urls: Urls,
    child: Child,
    data: TempDir,
    /// Reads what the host says, to its end.
    said: JoinHandle<String>,
}

impl Host {
    /// Starts a host with its defaults.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts a host with this `hostel.toml`. It listens on ports that the system picks.
    pub async fn start_with(config: &str) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(data, config).await
    }

    /// Starts a host on the data of another.
    pub async fn start_in(data: TempDir, config: &str) -> Self {
        let file = data.path().join("hostel.toml");
        std::fs::write(&file, config).expect("a config file");
        let mut command = serve(data.path());
        let mut child = command.arg("--config").arg(file).spawn().expect("the host starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut lines = BufReader::new(stderr).lines();
        let mut said = String::new();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("readable") {
                said.push_str(&line);
                said.push('\n');
                if let Some(urls) = Urls::of(&line) {
                    return Some(urls);
                }
            }
            None
        };
        let ready = tokio::time::timeout(PATIENCE, ready).await.expect("the host is ready in time");
        let Some(urls) = ready else { panic!("the host did not start:\n{said}") };
        let said = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                said.push_str(&line);
                said.push('\n');
            }
            said
        });
        let (ingress, admin) = (address(&urls.ingress), address(&urls.admin));
        let client = urls.client("default", data.path());
        Self { ingress, admin, client, urls, child, data, said }
    }

    /// Where it is, for a tenant.
    #[must_use]
    pub fn target(&self, tenant: &str) -> Target {
        self.urls.target(tenant)
    }

    /// The certificate that it made for a face, by the folder that it keeps it in.
    #[must_use]
    pub fn certificate(&self, folder: &str) -> PathBuf {
        certificate(self.data(), folder)
    }

    /// The operator's first token, from where a host that asks for tokens wrote it.
    #[must_use]
    pub fn operator_token(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("data/operator-token")).expect("the host wrote a token");
        text.trim().to_owned()
    }

    /// A client of a tenant, which shows no token.
    #[must_use]
    pub fn client_of(&self, tenant: &str) -> Client {
        self.urls.client(tenant, self.data())
    }

    /// A client of a tenant with a token.
    #[must_use]
    pub fn client_with(&self, tenant: &str, token: &str) -> Client {
        self.client_of(tenant).with_token(token).expect("a good token")
    }

    /// Its process, for looking at what it uses.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the host runs")
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Its resident memory in bytes, from `/proc`.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the host runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says VmRSS");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// Deploys a handler from its manifest, with changes made to it first.
    pub async fn deploy(&self, manifest: &Path, change: impl FnOnce(&mut Manifest)) -> HandlerView {
        let text = std::fs::read_to_string(manifest).expect("a manifest");
        let mut manifest_read = Manifest::from_toml(&text, "handler.toml").expect("a good manifest");
        let path = manifest.parent().expect("a file is in a folder").join(&manifest_read.component);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| {
            panic!("`{}`: {error}; `cargo xtask guests` builds the sample handlers", path.display())
        });
        manifest_read.component = self.upload(bytes).await;
        change(&mut manifest_read);
        self.client.deploy(&manifest_read).await.expect("deployed").handler
    }

    /// Uploads a component and returns its digest.
    pub async fn upload(&self, bytes: Vec<u8>) -> String {
        let digest = digest(&bytes);
        self.client.put_component(&digest, bytes.into()).await.expect("a good component").digest
    }

    /// Publishes and waits until the event is settled.
    pub async fn publish_and_wait(&self, topic: &str, body: impl Into<Vec<u8>>) -> SettledView {
        let publication = publication(topic, body);
        let settled = self.client.publish_and_wait(&publication, PATIENCE).await.expect("published");
        assert!(settled.settled, "not settled in time: {settled:?}");
        settled
    }

    /// Looks at the only subscription until it is as wanted.
    pub async fn until(&self, wanted: impl Fn(&SubscriptionView) -> bool) -> SubscriptionView {
        let looking = async {
            loop {
                let subscriptions = self.client.subscriptions().await.expect("listed");
                let [only] = &subscriptions[..] else { panic!("{subscriptions:?}") };
                if wanted(only) {
                    return only.clone();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("it comes to that")
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.expect("kill is there").success());
    }

    /// Ends it in good order and returns what it said and its data, for another host to start on.
    pub async fn stop(mut self) -> (String, TempDir) {
        self.signal("TERM");
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("ends in time").expect("waited for");
        (self.said.await.expect("read to its end"), self.data)
    }

    /// Kills it as a crash would, and returns its data, for another host to start on.
    pub async fn kill(mut self) -> TempDir {
        self.child.kill().await.expect("killed");
        self.data
    }

    /// Waits for its end and returns how it ended and everything it said.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("ends in time").expect("waited for");
        (status, self.said.await.expect("read to its end"))
    }
}

/// `hostel serve` on ports that the system picks, with nothing from this process's environment.
pub fn serve(data: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .env_clear()
        .args(["serve", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"])
        .arg("--data-dir")
        .arg(data.join("data"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A message for a topic.
pub fn publication(topic: &str, body: impl Into<Vec<u8>>) -> Publication {
    Publication { topic: topic.to_owned(), id: None, headers: Vec::new(), body: body.into().into() }
}

/// The SHA-256 of a component, as the API writes it.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// Where a host is reached.
struct Urls {
    ingress: String,
    admin: String,
}

impl Urls {
    /// From the line by which the host says that it is ready.
    fn of(line: &str) -> Option<Self> {
        if !line.contains(r#""message":"ready""#) {
            return None;
        }
        let url = |key: &str| {
            let (_, rest) = line.split_once(&format!(r#""{key}":""#))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        Some(Self { ingress: url("ingress")?, admin: url("admin")? })
    }

    fn target(&self, tenant: &str) -> Target {
        Target { admin: self.admin.clone(), ingress: self.ingress.clone(), tenant: tenant.to_owned() }
    }

    fn client(&self, tenant: &str, data: &Path) -> Client {
        let own = self.admin.starts_with("https://").then(|| certificate(data, "tls-admin"));
        Client::trusting(&self.target(tenant), own.as_deref()).expect("good addresses")
    }
}

fn address(url: &str) -> SocketAddr {
    let (_, address) = url.split_once("://").expect("a URL");
    address.parse().expect("an address")
}

fn certificate(data: &Path, folder: &str) -> PathBuf {
    data.join("data").join(folder).join("certificate.pem")
}
