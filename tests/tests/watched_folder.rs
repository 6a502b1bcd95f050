//! The watched folder: what lies in it is what runs, and nothing in it can take down what ran.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hostel_api::client::{Client, Force};
use hostel_api::tenant::TenantDocument;
use hostel_api::view::{HandlerView, SettlementOutcome};
use hostel_tests::host::{Host, PATIENCE};
use hostel_tests::{cli, repository, sample};
use tempfile::TempDir;

fn component() -> Vec<u8> {
    let path = repository().join("target/guests/hello.wasm");
    fs::read(&path).expect("`cargo xtask guests` builds the sample handlers")
}

fn manifest(name: &str, version: &str) -> String {
    format!(
        "name = '{name}'\nversion = '{version}'\ncomponent = 'hello.wasm'\nsubscriptions = [{{ pattern = '{name}' }}]"
    )
}

/// A folder to be watched, and the config that says so.
fn watched() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!("[deploy]\nwatch = '{}'\n", folder.path().display());
    (folder, config)
}

/// Puts an entry there at once, as a careful person does.
fn put(folder: &Path, name: &str, version: &str) -> PathBuf {
    let (hidden, entry) = (folder.join(format!(".{name}")), folder.join(name));
    fs::create_dir_all(&hidden).expect("made");
    fs::write(hidden.join("hello.wasm"), component()).expect("written");
    fs::write(hidden.join("handler.toml"), manifest(name, version)).expect("written");
    fs::rename(hidden, &entry).expect("renamed");
    entry
}

/// Looks at the handlers until they are as wanted.
async fn until(host: &Host, wanted: impl Fn(&[HandlerView]) -> bool) -> Vec<HandlerView> {
    let looking = async {
        loop {
            let handlers = host.client.handlers().await.expect("listed");
            if wanted(&handlers) {
                return handlers;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it comes to that")
}

fn names(handlers: &[HandlerView]) -> Vec<&str> {
    handlers.iter().map(|handler| handler.name.as_str()).collect()
}

async fn assert_served(host: &Host, topic: &str) {
    let settled = host.publish_and_wait(topic, "hi").await;
    assert_eq!(settled.subscriptions.len(), 1, "{settled:?}");
    assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::Ack, "{settled:?}");
}

#[tokio::test]
async fn what_lies_in_the_folder_runs_until_it_goes() {
    let (folder, config) = watched();
    let host = Host::start_with(&config).await;
    let entry = put(folder.path(), "hello", "1");
    fs::write(folder.path().join("hello.wasm"), component()).expect("written");
    fs::write(folder.path().join("lone.handler.toml"), manifest("lone", "1")).expect("written");
    until(&host, |handlers| names(handlers) == ["hello", "lone"]).await;
    assert_served(&host, "hello").await;
    assert_served(&host, "lone").await;

    fs::write(entry.join("handler.toml"), manifest("hello", "2")).expect("written");
    until(&host, |handlers| handlers[0].version == "2").await;
    // Another handler in the same entry takes the place of the first.
    fs::write(entry.join("handler.toml"), manifest("other", "1")).expect("written");
    until(&host, |handlers| names(handlers) == ["lone", "other"]).await;
    assert_served(&host, "other").await;

    fs::remove_file(folder.path().join("lone.handler.toml")).expect("removed");
    fs::remove_dir_all(&entry).expect("removed");
    until(&host, <[_]>::is_empty).await;
}

#[tokio::test]
async fn what_cannot_run_leaves_what_ran_and_says_why() {
    let (folder, config) = watched();
    let host = Host::start_with(&config).await;
    let entry = put(folder.path(), "hello", "1");
    until(&host, |handlers| names(handlers) == ["hello"]).await;

    // A component that is half-written, and stays so for longer than the host waits.
    let whole = component();
    fs::write(entry.join("hello.wasm"), &whole[..whole.len() / 2]).expect("written");
    fs::write(entry.join("handler.toml"), manifest("hello", "2")).expect("written");
    let handlers = until(&host, |handlers| handlers[0].refused.is_some()).await;
    let reason = handlers[0].refused.as_deref().expect("refused");
    assert!(reason.starts_with("E0005: ") || reason.starts_with("E0001: "), "{reason}");
    assert_eq!((handlers[0].version.as_str(), &handlers[0].failed), ("1", &None));
    assert_served(&host, "hello").await;
    let listed = cli::run(&host, &["handlers"]).await;
    assert!(listed.stdout.contains("runs; refused from the watched folder: E000"), "{listed:?}");

    fs::write(entry.join("hello.wasm"), &whole).expect("written");
    until(&host, |handlers| handlers[0].version == "2" && handlers[0].refused.is_none()).await;

    // One that never ran is listed too, under its folder's name if it has no other.
    fs::create_dir(folder.path().join("wrong")).expect("made");
    fs::write(folder.path().join("wrong/handler.toml"), "nam = 'wrong'").expect("written");
    let handlers = until(&host, |handlers| handlers.len() == 2).await;
    let why = "E0012: `wrong/handler.toml` line 1: unknown key `nam`; did you mean `name`?";
    assert_eq!((handlers[1].name.as_str(), handlers[1].failed.as_deref()), ("wrong", Some(why)));
    fs::remove_dir_all(folder.path().join("wrong")).expect("removed");
    until(&host, |handlers| names(handlers) == ["hello"]).await;
    assert_served(&host, "hello").await;
}

#[tokio::test]
async fn many_that_come_at_once_all_run() {
    const COUNT: usize = 20;

    let (folder, config) = watched();
    for number in 0..COUNT {
        put(folder.path(), &format!("hello-{number}"), "1");
    }
    let host = Host::start_with(&config).await;
    until(&host, |handlers| handlers.len() == COUNT).await;
    assert_served(&host, "hello-7").await;
    fs::rename(folder.path().join("hello-7"), folder.path().join("moved")).expect("renamed");
    put(folder.path(), "last", "1");
    until(&host, |handlers| names(handlers).contains(&"last")).await;
    // What only moved goes on.
    assert_served(&host, "hello-7").await;
}

#[tokio::test]
async fn a_restart_goes_on_where_the_folder_was() {
    let (folder, config) = watched();
    let host = Host::start_with(&config).await;
    put(folder.path(), "stays", "1");
    let goes = put(folder.path(), "goes", "1");
    let before = until(&host, |handlers| names(handlers) == ["goes", "stays"]).await;
    host.deploy(&sample("rust/hello"), |_| ()).await;

    let (_, data) = host.stop().await;
    fs::remove_dir_all(goes).expect("removed");
    let host = Host::start_in(data, &config).await;
    let after = until(&host, |handlers| names(handlers) == ["hello", "stays"]).await;
    assert_eq!(after[1].deployed_at, before[1].deployed_at, "it was not deployed again");
    assert_served(&host, "stays").await;
}

#[tokio::test]
async fn what_was_deployed_otherwise_is_let_be() {
    let (folder, config) = watched();
    let host = Host::start_with(&config).await;
    let entry = put(folder.path(), "hello", "1");
    put(folder.path(), "marker", "1");
    until(&host, |handlers| names(handlers) == ["hello", "marker"]).await;
    host.deploy(&sample("rust/hello"), |manifest| manifest.version = "by-hand".to_owned()).await;

    let (_, data) = host.stop().await;
    let host = Host::start_in(data, &config).await;
    put(folder.path(), "another", "1");
    let handlers = until(&host, |handlers| handlers.len() == 3).await;
    assert_eq!(handlers[1].version, "by-hand", "the folder has not changed");

    fs::remove_dir_all(entry).expect("removed");
    fs::remove_dir_all(folder.path().join("marker")).expect("removed");
    let handlers = until(&host, |handlers| !names(handlers).contains(&"marker")).await;
    assert_eq!(names(&handlers), ["another", "hello"]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_changes_nothing() {
    let (folder, config) = watched();
    let host = Host::start_with(&config).await;
    put(folder.path(), "hello", "1");
    until(&host, |handlers| names(handlers) == ["hello"]).await;
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).expect("renamed");
    // For longer than the host waits before it believes that something is gone.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        assert_served(&host, "hello").await;
    }
    fs::rename(&away, folder.path()).expect("renamed");
    // Once this one is there, the folder has been looked at after it was gone.
    put(folder.path(), "later", "1");
    until(&host, |handlers| names(handlers) == ["hello", "later"]).await;
    assert_served(&host, "hello").await;
}

/// Looks at a tenant's handlers until these are there.
async fn until_of(client: &Client, wanted: &[&str]) {
    let looking = async {
        while names(&client.handlers().await.expect("listed")) != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("it comes to {wanted:?}"));
}

#[tokio::test]
async fn each_tenant_has_a_folder_of_its_own_that_deploys_for_nobody_else() {
    let (folder, config) = watched();
    let config = format!("{config}watch_layout = 'tenants'\n");
    for name in ["acme", "default", "nobody"] {
        fs::create_dir(folder.path().join(name)).expect("made");
    }
    put(&folder.path().join("default"), "hello", "1");
    put(&folder.path().join("acme"), "hello", "1");
    put(&folder.path().join("nobody"), "hello", "1");
    let host = Host::start_with(&config).await;
    until_of(&host.client, &["hello"]).await;
    assert_served(&host, "hello").await;
    // It is taken as soon as there is such a tenant, and not before.
    let acme = host.client_of("acme");
    assert!(acme.handlers().await.is_err(), "there is no such tenant yet");
    acme.put_tenant("acme", &TenantDocument::default()).await.expect("created");
    until_of(&acme, &["hello"]).await;

    // What leads to another tenant's folder is refused, what leads elsewhere in one's own is not.
    let link = |target: &str, link: &str| {
        std::os::unix::fs::symlink(target, folder.path().join("acme").join(link)).expect("linked");
    };
    fs::write(folder.path().join("nobody/stolen.handler.toml"), manifest("stolen", "1")).expect("written");
    fs::write(folder.path().join("nobody/hello.wasm"), component()).expect("written");
    link("../nobody/stolen.handler.toml", "stolen.handler.toml");
    fs::create_dir(folder.path().join("acme/lent")).expect("made");
    fs::write(folder.path().join("acme/lent/handler.toml"), manifest("lent", "1")).expect("written");
    link("../hello/hello.wasm", "lent/hello.wasm");
    until_of(&acme, &["hello", "lent", "stolen"]).await;
    let stolen = acme.handler("stolen").await.expect("listed");
    let why = "E0037: cannot read `stolen.handler.toml`: a link leads out of the tenant's folder";
    assert_eq!(stolen.failed.as_deref(), Some(why));
    assert_eq!(acme.handler("lent").await.expect("listed").failed, None);

    // A restart deploys nothing again, and takes away what went meanwhile.
    let before = acme.handler("lent").await.expect("there").deployed_at;
    let (said, data) = host.stop().await;
    assert_eq!(said.matches("there is no tenant `nobody`").count(), 1, "{said}");
    assert!(said.contains("E0057"), "{said}");
    fs::remove_dir_all(folder.path().join("default")).expect("removed");
    fs::remove_dir_all(folder.path().join("acme/hello")).expect("removed");
    fs::remove_file(folder.path().join("acme/stolen.handler.toml")).expect("removed");
    let host = Host::start_in(data, &config).await;
    let acme = host.client_of("acme");
    // The link in it leads nowhere now; what ran goes on.
    until_of(&acme, &["lent"]).await;
    assert_eq!(acme.handler("lent").await.expect("there").deployed_at, before);
    until_of(&host.client, &[]).await;
    let config = host.data().join("hostel.toml");
    let data = host.data().join("data");
    let examined = cli::run(
        &host,
        &["doctor", "--config", config.to_str().expect("plain"), "--data-dir", data.to_str().expect("plain")],
    )
    .await;
    assert!(examined.stdout.contains("there is no tenant `nobody`"), "{examined:?}");
}

/// One pipe once stopped the watching of all folders, and kept the host from ending.
#[tokio::test]
async fn a_pipe_in_one_tenants_folder_holds_up_nobody() {
    let (folder, config) = watched();
    let config = format!("{config}watch_layout = 'tenants'\n");
    let stuck = folder.path().join("acme/stuck");
    fs::create_dir_all(&stuck).expect("made");
    fs::create_dir(folder.path().join("default")).expect("made");
    let made = std::process::Command::new("mkfifo").arg(stuck.join("hello.wasm")).status().expect("it runs");
    assert!(made.success());
    fs::write(stuck.join("handler.toml"), manifest("stuck", "1")).expect("written");
    let host = Host::start_with(&config).await;
    let acme = host.client_of("acme");
    acme.put_tenant("acme", &TenantDocument::default()).await.expect("created");
    until_of(&acme, &["stuck"]).await;
    let why = "E0037: cannot read `stuck/hello.wasm`: it is no plain file; put the file itself there";
    assert_eq!(acme.handler("stuck").await.expect("listed").failed.as_deref(), Some(why));
    // Everybody is looked at still.
    let hello = put(&folder.path().join("default"), "hello", "1");
    until_of(&host.client, &["hello"]).await;
    fs::remove_dir_all(hello).expect("removed");
    until_of(&host.client, &[]).await;
    fs::remove_file(stuck.join("hello.wasm")).expect("removed");
    fs::write(stuck.join("hello.wasm"), component()).expect("written");
    let repaired = async { while acme.handler("stuck").await.expect("listed").failed.is_some() {} };
    tokio::time::timeout(PATIENCE, repaired).await.expect("it is taken once it is a file");
    host.stop().await;
}

/// What was refused was once listed until the host ended, and found there by the next tenant of that name.
#[tokio::test]
async fn refusals_go_with_their_folder_and_with_their_tenant() {
    let (folder, config) = watched();
    let host = Host::start_with(&format!("{config}watch_layout = 'tenants'\n")).await;
    let acme = host.client_of("acme");
    acme.put_tenant("acme", &TenantDocument::default()).await.expect("created");
    let own = folder.path().join("acme");
    let refused = |name: &str| {
        fs::create_dir_all(own.join(name)).expect("made");
        fs::write(own.join(name).join("handler.toml"), "nam = 'hello'").expect("written");
    };
    refused("wrong");
    until_of(&acme, &["wrong"]).await;
    fs::remove_dir_all(&own).expect("removed");
    until_of(&acme, &[]).await;
    // Repaired while it was away.
    fs::create_dir(&own).expect("made");
    put(&own, "wrong", "1");
    until_of(&acme, &["wrong"]).await;
    let listed = acme.handler("wrong").await.expect("listed");
    assert_eq!((listed.refused, listed.failed), (None, None));

    // Another tenant of that name, at once, has what lies there and nothing else.
    refused("bad");
    until_of(&acme, &["bad", "wrong"]).await;
    fs::remove_dir_all(own.join("bad")).expect("removed");
    host.client.delete_tenant("acme", Force::Yes).await.expect("deleted");
    acme.put_tenant("acme", &TenantDocument::default()).await.expect("created");
    until_of(&acme, &["wrong"]).await;
    host.stop().await;
}
