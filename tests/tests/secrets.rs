//! Secrets of tenants: they reach the handlers that name them, follow their files, and are told nowhere else.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use hostel_api::client::Publication;
use hostel_api::manifest::Manifest;
use hostel_api::view::{SettlementOutcome, SettlementView};
use hostel_tests::host::{Host, PATIENCE, publication, serve};
use hostel_tests::{cli, raw, sample};
use tempfile::TempDir;

/// What the router verifies signatures with.
const NAME: &str = "webhook-secret";
const BODY: &str = r#"{"ref":"refs/heads/main"}"#;
// Each value with the signature of `BODY` under it, made apart from the router with Python's `hmac`.
const FIRST: (&str, &str) =
    ("first-swordfish-7d1c", "47dad8a3e4559520af23f3a66592703dd23d6a3957f9f3eb77abcefaec72a113");
const SECOND: (&str, &str) =
    ("second-swordfish-09ab", "ecbc636a782327c276ee1398d096d66dfbad7c5db5ff5c095af5a61ca30a3f31");

/// A folder with a secret in a file, and the config that names it for a tenant.
fn secret(tenant: &str) -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("key");
    fs::write(&file, format!("{}\n", FIRST.0)).expect("written");
    let config = format!("[secrets.{tenant}]\n{NAME} = {{ file = '{}' }}\n", file.display());
    (folder, file, config)
}

/// The router without its secret in the manifest.
fn naming(manifest: &mut Manifest) {
    manifest.config.0.remove(NAME);
    manifest.secrets = vec![NAME.to_owned()];
    for subscription in &mut manifest.subscriptions {
        subscription.retry.attempts = std::num::NonZeroU32::new(1);
    }
}

fn webhook(signature: &str) -> Publication {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![pair("X-GitHub-Event", "push"), pair("X-Hub-Signature-256", &format!("sha256={signature}"))];
    Publication { headers, ..publication("webhooks-in.github", BODY) }
}

async fn ask(host: &Host, signature: &str) -> SettlementView {
    let settled = host.client.publish_and_wait(&webhook(signature), PATIENCE).await.expect("published");
    let [only] = &settled.subscriptions[..] else { panic!("one subscription: {settled:?}") };
    only.clone()
}

/// Everything in the files of a folder that is text in any way.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).expect("readable")));
        }
    }
    found
}

#[tokio::test]
async fn a_secret_follows_its_file_and_is_told_nowhere() {
    let (_folder, file, config) = secret("default");
    let host = Host::start_with(&format!(
        "{config}[log]\nfilter = 'info,hostel=trace,hostel_runtime=trace,hostel_dispatch=trace'"
    ))
    .await;
    let view = host.deploy(&sample("rust/webhook-router"), naming).await;
    assert_eq!((view.secrets, view.config), (vec![NAME.to_owned()], Vec::new()));
    assert_eq!(ask(&host, FIRST.1).await.outcome, SettlementOutcome::Ack);

    fs::write(&file, SECOND.0).expect("written");
    let taken = async {
        while ask(&host, SECOND.1).await.outcome != SettlementOutcome::Ack {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the new value holds");
    assert_eq!(ask(&host, FIRST.1).await.outcome, SettlementOutcome::DeadLetter, "the old value does not");

    let mut told = Vec::new();
    let letters = host.client.dead_letters(10, None).await.expect("listed");
    let letter = letters.items.first().expect("the webhook with the old signature").id.clone();
    let paths = ["handlers", "handlers/webhook-router", "subscriptions", "dead-letters", "logs"].map(str::to_owned);
    for path in paths.into_iter().chain([format!("dead-letters/{letter}")]) {
        let request = raw::request("GET", &format!("/v1/tenants/default/{path}"), &[], b"");
        let answer = raw::exchange(host.admin, &request).await.expect("answered");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        told.push((path, answer.body.into_bytes()));
    }
    for arguments in [&["handlers", "--json"][..], &["handlers", "webhook-router"], &["logs"], &["audit"]] {
        let ran = cli::run(&host, arguments).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        told.push((arguments.join(" "), (ran.stdout + &ran.stderr).into_bytes()));
    }
    let names = told.iter().filter(|(_, text)| String::from_utf8_lossy(text).contains(NAME)).count();
    assert!(names >= 4, "the name is told, in lists and alone");
    let (said, data) = host.stop().await;
    assert!(said.contains("a secret has a new value") && said.contains(NAME), "the host says that it has changed");
    told.push(("serve".to_owned(), said.into_bytes()));
    told.extend(files(data.path()));
    for (place, text) in told {
        for (value, _) in [FIRST, SECOND] {
            let found = text.windows(value.len()).any(|window| window == value.as_bytes());
            assert!(!found, "{place} tells the secret");
        }
    }
}

#[tokio::test]
async fn a_secret_reaches_only_handlers_that_name_it() {
    let (_folder, _, config) = secret("default");
    let host = Host::start_with(&config).await;
    let silent = |manifest: &mut Manifest| {
        naming(manifest);
        manifest.secrets.clear();
    };
    host.deploy(&sample("rust/webhook-router"), silent).await;
    let view = ask(&host, FIRST.1).await;
    assert_eq!(view.outcome, SettlementOutcome::DeadLetter);
    let reason = view.reason.expect("a reason");
    assert!(reason.contains(NAME) && !reason.contains(FIRST.0), "{reason}");
}

#[tokio::test]
async fn a_secret_of_another_tenant_is_none() {
    let (_folder, file, config) = secret("acme");
    let host = Host::start_with(&format!("{config}[[tenants]]\nname = 'acme'\n")).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = folder.path().join("handler.toml");
    let component = sample("rust/webhook-router").with_file_name("../../../target/guests/webhook_router.wasm");
    fs::copy(component, folder.path().join("router.wasm")).expect("`cargo xtask guests` builds it");
    let mut refused = Vec::new();
    for name in [NAME, "nothing"] {
        let text = format!(
            "name = 'router'\ncomponent = 'router.wasm'\nsecrets = ['{name}']\nsubscriptions = [{{ pattern = 'a' }}]"
        );
        fs::write(&manifest, text).expect("written");
        let path = manifest.display().to_string();
        let ran = cli::run(&host, &["deploy", &path]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("error[E0076]"), "{ran:?}");
        // How far it came is said before.
        let error = ran.stderr.split_once("error[").map(|(_, error)| error.replace(name, "NAME"));
        refused.push(error.expect("it is an error"));
        let theirs = cli::run(&host, &["--tenant", "acme", "deploy", &path]).await;
        assert_eq!(theirs.code, Some(if name == NAME { 0 } else { 1 }), "{theirs:?}");
    }
    assert_eq!(refused.first(), refused.last(), "another's secret is refused as what does not exist");

    // At a start without it, the handler is listed and the host serves.
    let (_, data) = host.stop().await;
    let host = Host::start_in(data, "[[tenants]]\nname = 'acme'\n").await;
    let listed = cli::run(&host, &["--tenant", "acme", "handlers"]).await;
    assert!(listed.stdout.contains("failed: `secrets`: tenant `acme` has no secret `webhook-secret`"), "{listed:?}");
    drop(file);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_keeps_the_host_from_starting() {
    let (folder, file, config) = secret("default");
    fs::remove_file(&file).expect("removed");
    let path = folder.path().join("hostel.toml");
    fs::write(&path, format!("{config}other = {{ env = 'NOT_SET' }}\n")).expect("written");
    let child = serve(folder.path()).arg("--config").arg(&path).spawn().expect("it starts");
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("in time").expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("error[E0077]: `secrets.default.other`: variable `NOT_SET`: "), "{said}");
    assert!(said.contains("`secrets.default.webhook-secret`: cannot read"), "all are told at once: {said}");
}

#[tokio::test]
async fn a_file_that_others_can_reach_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;

    let (_folder, file, config) = secret("default");
    let warns = async |mode: u32| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
        let (said, _) = Host::start_with(&config).await.stop().await;
        said.contains("others can reach a secret's file")
    };
    assert!(warns(0o640).await);
    assert!(!warns(0o600).await);
}
