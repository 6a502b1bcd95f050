//! The files that a handler brings along: read-only, its own alone, and those of the version that runs.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use hostel_api::client::{Client, ClientError, Owner, Progress, Publication};
use hostel_api::manifest::Manifest;
use hostel_api::tenant::TenantDocument;
use hostel_api::token::TokenRequest;
use hostel_api::view::SettlementOutcome;
use hostel_tests::host::{Host, PATIENCE, digest, publication};
use hostel_tests::{cli, repository};
use tempfile::TempDir;

/// A folder with a handler in it: what misbehaves on demand, with these files.
fn project(version: &str, more: &str, files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fill(folder.path(), version, more, files);
    folder
}

fn fill(folder: &Path, version: &str, more: &str, files: &[(&str, &str)]) {
    let component = repository().join("target/guests/hostile.wasm");
    fs::copy(component, folder.join("hostile.wasm")).expect("`cargo xtask guests` builds the sample handlers");
    for (path, content) in files {
        let path = folder.join("assets").join(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("made");
        fs::write(path, content).expect("written");
    }
    let manifest = format!(
        "name = 'reader'\nversion = '{version}'\ncomponent = 'hostile.wasm'\n{more}\n\
         subscriptions = [{{ pattern = 'read', concurrency = 1, retry = {{ attempts = 1 }}, quarantine = {{ faults = 0 }} }}]"
    );
    fs::write(folder.join("handler.toml"), manifest).expect("written");
}

const FILES: &str = "files = 'assets'";

async fn deploy(host: &Host, project: &TempDir) -> String {
    let path: PathBuf = project.path().join("handler.toml");
    let ran = cli::run(host, &["deploy", path.to_str().expect("a plain name")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stderr
}

fn told(behaviour: &str, path: &str) -> Publication {
    let headers = vec![("Behaviour".into(), behaviour.into()), ("Path".into(), path.into())];
    Publication { headers, ..publication("read", "") }
}

/// What the handler says of a file.
async fn says(host: &Host, behaviour: &str, path: &str) -> String {
    says_to(&host.client, behaviour, path).await
}

/// What a tenant's handler says of a file.
async fn says_to(client: &Client, behaviour: &str, path: &str) -> String {
    let settled = client.publish_and_wait(&told(behaviour, path), PATIENCE).await.expect("published");
    let [only] = &settled.subscriptions[..] else { panic!("one subscription hears it: {settled:?}") };
    match only.outcome {
        SettlementOutcome::Ack => "ack".to_owned(),
        _ => only.reason.clone().unwrap_or_else(|| panic!("no answer: {settled:?}")),
    }
}

/// How often the host itself has a file of this name open.
fn open_in(host: &Host, name: &str) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", host.pid())).expect("the host runs");
    let files = descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
    files.filter(|file| file.ends_with(name)).count()
}

async fn until_open(host: &Host, name: &str, wanted: usize) {
    let looking = async {
        while open_in(host, name) < wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{} are open", open_in(host, name)));
}

/// Has a project's handler run so many times at once.
fn at_a_time(project: &TempDir, concurrency: usize) {
    let manifest = project.path().join("handler.toml");
    let text = fs::read_to_string(&manifest).expect("written");
    fs::write(&manifest, text.replace("concurrency = 1", &format!("concurrency = {concurrency}"))).expect("written");
}

async fn reads(host: &Host, path: &str, content: &str) {
    assert_eq!(says(host, "read-file", path).await, format!("the host agreed: {content:?}"), "{path}");
}

#[tokio::test]
async fn a_handler_reads_its_files_and_changes_none_and_reaches_nothing_else() {
    let host = Host::start().await;
    let reader = project("1", FILES, &[("greeting.txt", "hello"), ("deep/er.txt", "deep")]);
    deploy(&host, &reader).await;
    reads(&host, "/files/greeting.txt", "hello").await;
    reads(&host, "/files/deep/er.txt", "deep").await;
    reads(&host, "/files/deep/../greeting.txt", "hello").await;
    let names = says(&host, "list-folder", "/files").await;
    assert!(names.contains("\"greeting.txt\"") && names.contains("\"deep\""), "{names}");

    for (behaviour, path) in [
        ("write-file", "/files/greeting.txt"),
        ("write-file", "/files/new.txt"),
        ("remove-file", "/files/greeting.txt"),
        ("read-file", "/files/../handler.toml"),
        ("read-file", "/files/deep/../../../../../../../../etc/passwd"),
        ("read-file", "/etc/passwd"),
        ("read-file", "../etc/passwd"),
        ("list-folder", "/"),
        ("list-folder", "/files/.."),
    ] {
        let answer = says(&host, behaviour, path).await;
        assert!(!answer.starts_with("the host agreed"), "{behaviour} {path}: {answer}");
        assert_ne!(answer, "ack", "{behaviour} {path}");
    }
    reads(&host, "/files/greeting.txt", "hello").await;

    // So many at a time; the next event has as many again.
    for _ in 0..3 {
        let answer = says(&host, "open-files:100", "/files/greeting.txt").await;
        assert_eq!(answer, "16 are open: ResourceBusy");
    }
}

/// A stream keeps its file open after the descriptor was closed, and a list of a folder is memory of the host's: a guest
/// could once hold 4,000 of either.
#[tokio::test]
async fn what_a_handler_reads_counts_as_what_it_has_open_does() {
    let host = Host::start().await;
    deploy(&host, &project("1", FILES, &[("greeting.txt", "hello")])).await;
    // As often as it likes: what an event held is free when it ends.
    for _ in 0..3 {
        assert_eq!(says(&host, "hold-streams", "greeting.txt").await, "16 are held: busy");
        assert_eq!(says(&host, "share-file", "greeting.txt").await, "32 are held: busy");
        assert_eq!(says(&host, "hold-lists", "").await, "32 are held: busy");
    }
    assert_eq!(open_in(&host, "greeting.txt"), 0);
}

#[tokio::test]
async fn a_folder_of_many_files_is_listed_to_its_end() {
    let host = Host::start().await;
    let many: Vec<_> = (0..1000).map(|number| format!("many/{number}-{}", "x".repeat(number % 200))).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), "")).collect();
    deploy(&host, &project("1", FILES, &many)).await;
    assert_eq!(says(&host, "count-folder", "/files/many").await, "the host agreed: 1000");
    assert_eq!(says(&host, "count-folder", "/files").await, "the host agreed: 1");
}

/// One tenant's guests hold all that they can get and wait for an hour: once that was all that the host had.
#[tokio::test]
async fn a_tenant_that_holds_its_files_open_keeps_no_other_from_its_own() {
    let mut host = Host::start_with("[access]\nrequire = 'token'\n").await;
    let rival = newcomer(&host, "rival", &project("1", FILES, &[("morning.txt", "good morning")])).await;
    let greedy = project("1", "files = 'assets'\nlimits.deadline = '1h'", &[("greeting.txt", "hello")]);
    at_a_time(&greedy, 20);
    host.client = newcomer(&host, "greedy", &greedy).await;
    for _ in 0..20 {
        host.client.publish(&told("hold-files", "/files/greeting.txt")).await.expect("published");
    }
    host.until(|greedy| greedy.running == 20).await;
    until_open(&host, "greeting.txt", 64).await;
    for _ in 0..5 {
        let answer = says_to(&rival, "read-file", "/files/morning.txt").await;
        assert_eq!(answer, "the host agreed: \"good morning\"");
    }
    let answer = says_to(&rival, "open-files:100", "/files/morning.txt").await;
    assert_eq!(answer, "16 are open: ResourceBusy", "its share is all there");
    assert_eq!(open_in(&host, "greeting.txt"), 64, "who holds some was told so, and who holds none waits");
}

/// Who waited for one more and kept what it had could wait for others that did the same, until the deadlines of all.
#[tokio::test]
async fn who_has_a_file_open_is_told_that_none_is_free_and_who_has_none_waits() {
    let host = Host::start().await;
    let reader = project("1", "files = 'assets'\nlimits.deadline = '1m'", &[("greeting.txt", "hello")]);
    at_a_time(&reader, 5);
    deploy(&host, &reader).await;
    let hold = async |behaviour: &str, time: &str| {
        let mut publication = told(behaviour, "/files/greeting.txt");
        publication.headers.push(("Hold-Ms".into(), time.into()));
        for _ in 0..4 {
            host.client.publish(&publication).await.expect("published");
        }
    };
    // Long enough that all four hold theirs at once, and the fifth comes to wait.
    hold("hold-files:16", "3000").await;
    until_open(&host, "greeting.txt", 64).await;
    reads(&host, "/files/greeting.txt", "hello").await;
    host.until(|reader| reader.running == 0).await;

    hold("hold-files:15", "3600000").await;
    until_open(&host, "greeting.txt", 60).await;
    assert_eq!(says(&host, "open-files:100", "/files/greeting.txt").await, "4 are open: ResourceBusy");
}

/// A new tenant with this handler, and a client that holds its admin's token.
async fn newcomer(host: &Host, name: &str, project: &TempDir) -> Client {
    let operator = host.client_with(name, &host.operator_token());
    operator.put_tenant(name, &TenantDocument::default()).await.expect("created");
    let request =
        TokenRequest { name: "admin".to_owned(), scopes: vec!["admin".to_owned()], ..TokenRequest::default() };
    let token = operator.create_token(Owner::Tenant, &request).await.expect("made").secret;
    let mut command = cli::hostel(host);
    command.args(["--tenant", name, "deploy"]).arg(project.path().join("handler.toml")).env("HOSTEL_TOKEN", &token);
    let ran = command.output().await.expect("runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    host.client_with(name, &token)
}

#[tokio::test]
async fn a_handler_without_files_sees_none_even_beside_one_that_has_them() {
    let host = Host::start().await;
    deploy(&host, &project("1", FILES, &[("greeting.txt", "hello")])).await;
    reads(&host, "/files/greeting.txt", "hello").await;
    deploy(&host, &project("2", "", &[("greeting.txt", "hello")])).await;
    for path in ["/files/greeting.txt", "/greeting.txt", "greeting.txt"] {
        let answer = says(&host, "read-file", path).await;
        assert!(!answer.starts_with("the host agreed"), "{path}: {answer}");
    }
    assert_eq!(host.client.handler("reader").await.expect("there").files, None);
}

#[tokio::test]
async fn files_are_part_of_a_version_and_come_back_with_it() {
    let host = Host::start().await;
    let reader = project("1", FILES, &[("greeting.txt", "first")]);
    deploy(&host, &reader).await;
    let said = deploy(&host, &reader).await;
    assert!(said.starts_with("nothing changed: `reader` 1"), "{said}");
    let first = host.client.handler("reader").await.expect("there").files;
    assert!(first.is_some());

    fs::write(reader.path().join("assets/greeting.txt"), "second").expect("written");
    let said = deploy(&host, &reader).await;
    assert!(said.contains("deployed `reader` 1"), "other files are another version: {said}");
    reads(&host, "/files/greeting.txt", "second").await;
    host.client.rollback("reader").await.expect("rolled back");
    reads(&host, "/files/greeting.txt", "first").await;
    assert_eq!(host.client.handler("reader").await.expect("there").files, first);
    host.client.rollback("reader").await.expect("rolled forward");
    reads(&host, "/files/greeting.txt", "second").await;

    // Over a restart too, with what was unpacked thrown away and made anew.
    let (_, data) = host.stop().await;
    let host = Host::start_in(data, "").await;
    reads(&host, "/files/greeting.txt", "second").await;
    host.client.rollback("reader").await.expect("rolled back");
    reads(&host, "/files/greeting.txt", "first").await;
    // What no version names any more takes its place once.
    let unpacked = || fs::read_dir(host.data().join("data/unpacked")).expect("there").count();
    assert_eq!(unpacked(), 2);
    host.client.undeploy("reader").await.expect("undeployed");
    assert_eq!(unpacked(), 0);
}

#[tokio::test]
async fn an_instance_that_has_read_its_files_may_still_serve_another_event() {
    let host = Host::start().await;
    deploy(&host, &project("1", "files = 'assets'\nreuse = 10", &[("greeting.txt", "hello")])).await;
    assert_eq!(says(&host, "read-then-count", "/files/greeting.txt").await, "ack");
    for before in 1..4 {
        let answer = says(&host, "read-then-count", "/files/greeting.txt").await;
        assert_eq!(answer, format!("{before} events were here before"));
    }
}

#[tokio::test]
async fn what_is_no_bundle_is_refused_and_one_that_is_missing_deploys_nothing() {
    let host = Host::start_with("[admin]\nfiles_limit = '4KiB'\n").await;
    let put = async |bundle: Vec<u8>| {
        let (progress, _begun) = Progress::new();
        match host.client.put_files(&digest(&bundle), bundle.into(), &progress).await {
            Err(ClientError::Problem { problem, .. }) => (problem.code.clone(), problem.detail.clone()),
            other => panic!("a problem is expected: {other:?}"),
        }
    };
    let (code, detail) = put(vec![b'x'; 2048]).await;
    assert!(code == "E0058" && detail.starts_with("the bundle is no tar file"), "{code}: {detail}");
    let (code, detail) = put(vec![b'x'; 5000]).await;
    assert!(code == "E0058" && detail.contains("`admin.files_limit`"), "{code}: {detail}");

    let component = fs::read(repository().join("target/guests/hostile.wasm")).expect("built");
    let text = format!(
        "name = 'reader'\ncomponent = '{}'\nfiles = '{}'\nsubscriptions = [{{ pattern = 'read' }}]",
        host.upload(component).await,
        digest(b"what nobody uploaded"),
    );
    let manifest = Manifest::from_toml(&text, "handler.toml").expect("a good manifest");
    match host.client.deploy(&manifest).await {
        Err(ClientError::Problem { problem, .. }) => assert_eq!(problem.code, "E0015"),
        other => panic!("a problem is expected: {other:?}"),
    }
    assert!(host.client.handlers().await.expect("listed").is_empty());

    let linked = project("1", FILES, &[("greeting.txt", "hello")]);
    std::os::unix::fs::symlink("/etc/passwd", linked.path().join("assets/users")).expect("linked");
    let path = linked.path().join("handler.toml");
    let ran = cli::run(&host, &["deploy", path.to_str().expect("plain")]).await;
    assert!(ran.code == Some(1) && ran.stderr.contains("error[E0058]: "), "{ran:?}");
}

#[tokio::test]
async fn the_watched_folder_brings_files_and_follows_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let host = Host::start_with(&format!("[deploy]\nwatch = '{}'\n", folder.path().display())).await;
    let hidden = folder.path().join(".reader");
    fs::create_dir(&hidden).expect("made");
    fill(&hidden, "1", FILES, &[("greeting.txt", "first")]);
    let entry = folder.path().join("reader");
    fs::rename(hidden, &entry).expect("renamed");
    let until = async |wanted: &str| {
        let looking = async {
            while host.client.handlers().await.expect("listed").is_empty() {
                tokio::task::yield_now().await;
            }
            while says(&host, "read-file", "/files/greeting.txt").await != format!("the host agreed: {wanted:?}") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("it comes to {wanted}"));
    };
    until("first").await;
    fs::write(entry.join("assets/greeting.txt"), "second").expect("written");
    until("second").await;
}

/// As `hostel dev` does, too.
#[tokio::test]
async fn a_handler_of_the_config_brings_its_files() {
    let reader = project("1", FILES, &[("greeting.txt", "hello")]);
    let host = Host::start_with(&format!("handlers = ['{}']\n", reader.path().join("handler.toml").display())).await;
    reads(&host, "/files/greeting.txt", "hello").await;
}
