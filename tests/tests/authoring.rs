//! From nothing to a handled event, as an author goes: `hostel new`, `hostel build`, `hostel deploy`, and `hostel dev`,
//! in a folder outside the repository. A language whose tools are missing says so and checks nothing. Languages that
//! build for half a minute are for the long run.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hostel_api::client::{Client, Target};
use hostel_api::view::SettlementOutcome;
use hostel_tests::cli::Ran;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{binary, cli, namespace, repository, times};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};

/// How long a compiler may take, with all that it depends on, on a machine that does other things beside.
const BUILDING: Duration = Duration::from_secs(600);

/// `hostel` in a folder, with an author's environment: that of this process without what cargo put there.
fn hostel(folder: &Path) -> Command {
    let shared = repository().join("target/authoring");
    // What `cargo xtask setup` and `cargo xtask guests` have made, so that no test compiles it anew.
    let tools = ["target/tools/bin", "target/component-build/debug"].map(|folder| repository().join(folder));
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_ours = ["CARGO", "HOSTEL_", "MICRO_", "RUST"].iter().any(|prefix| text.starts_with(prefix));
        let is_of_machine = ["CARGO_HOME", "RUSTUP_HOME"].contains(&&*text) || text.starts_with("CARGO_REGISTR");
        if (is_ours && !is_of_machine) || text == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::env::split_paths(&path).chain(tools)).expect("a good PATH");
    command
        .current_dir(folder)
        .env("PATH", path)
        // What every project would compile anew is compiled once.
        .env("CARGO_TARGET_DIR", shared.join("rust"))
        .env("XDG_CACHE_HOME", shared.join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(command: &mut Command) -> Ran {
    let child = command.spawn().expect("the command starts");
    let output = tokio::time::timeout(BUILDING, child.wait_with_output()).await.expect("ends in time").expect("runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A new project, and the folder that it is in. In the target directory that all share, cargo takes two projects of one
/// name for the same, so those that are built in Rust at the same time have names of their own.
async fn new(name: &str, language: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = run(hostel(folder.path()).args(["new", name, "--lang", language])).await;
    assert_eq!((made.code, made.stdout.clone()), (Some(0), format!("cd {name}\nhostel dev\n")), "{made:?}");
    let project = folder.path().join(name);
    (folder, project)
}

/// Builds a project; `None`, after saying so, where a tool is missing.
async fn built(test: &str, project: &Path) -> Option<serde_json::Value> {
    let built = run(hostel(project).args(["build", "--json"])).await;
    if built.stderr.contains("error[E0060]") {
        namespace::skip(test, built.stderr.trim());
        return None;
    }
    assert_eq!(built.code, Some(0), "{}{}", built.stdout, built.stderr);
    Some(serde_json::from_str(&built.stdout).expect("JSON"))
}

/// Goes all the way in a language.
async fn greets(test: &str, language: &str, sample: &str) {
    let (_folder, project) = new("greet", language).await;
    let before = sources(&project);
    let Some(view) = built(test, &project).await else { return };
    assert_eq!(view.get("component"), Some(&serde_json::json!("target/greet.wasm")));
    assert_eq!(view.get("world"), Some(&serde_json::json!("hostel:handler/handler@0.1.0")));
    assert_eq!(sources(&project), before, "a build changes no source and no lock file");

    let host = Host::start().await;
    let manifest = project.join("handler.toml").to_string_lossy().into_owned();
    let deployed = cli::run(&host, &["deploy", &manifest, "--deadline", "30s"]).await;
    assert_eq!(deployed.code, Some(0), "{deployed:?}");
    let event = project.join(sample).to_string_lossy().into_owned();
    let published = cli::run(&host, &["publish", "greetings.sent", "--file", &event, "--wait"]).await;
    assert_eq!(published.code, Some(0), "{published:?}");
    assert!(published.stdout.contains("ack, 1 attempt") && published.stdout.contains("hello, Ada"), "{published:?}");
    let settled = host.publish_and_wait("greetings.sent", "").await;
    let outcomes: Vec<_> = settled.subscriptions.iter().map(|one| (one.outcome, one.attempts)).collect();
    assert_eq!(outcomes, [(SettlementOutcome::DeadLetter, 1)], "{settled:?}");
}

/// The files that an author keeps, with their content.
fn sources(project: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut sources = Vec::new();
    let mut folders = vec![project.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if ["target", "node_modules", ".hostel", ".venv", "__pycache__"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read(&path).expect("a file");
                sources.push((path, content));
            }
        }
    }
    sources.sort();
    sources
}

/// What is behind `--long`.
fn is_long_run(test: &str) -> bool {
    let is_long = times(false, true);
    if !is_long {
        namespace::skip(test, "it takes a minute; `cargo xtask test --long` runs it");
    }
    is_long
}

#[tokio::test]
async fn a_new_handler_in_rust_handles_its_first_event() {
    greets("a_new_handler_in_rust_handles_its_first_event", "rust", "events/hello.json").await;
}

/// Allocates what the memory has from the start and more, and panics once.
const BARE: &str = r#"//! A handler that does without WASI.

/// Handles one event.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let large = vec![event.body().len(); 1_000_000];
    hostel::info!("{} times {:?}", large.len(), large.last());
    assert!(event.attempt() > 1, "not at the first attempt");
    Ok(())
}
"#;

#[tokio::test]
async fn a_handler_in_rust_does_without_wasi() {
    let (_folder, project) = new("bare", "rust").await;
    let manifest = project.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, format!("{text}\n[package.metadata.hostel]\nwasi = false\n")).expect("written");
    fs::write(project.join("src/lib.rs"), BARE).expect("written");
    if built("a_handler_in_rust_does_without_wasi", &project).await.is_none() {
        return;
    }
    let component = fs::read(project.join("target/bare.wasm")).expect("a component");
    let imports = |name: &[u8]| component.windows(name.len()).any(|window| window == name);
    assert!(imports(b"wasi:logging/logging") && !imports(b"wasi:cli/") && !imports(b"wasi:io/"));

    let host = Host::start().await;
    let manifest = project.join("handler.toml").to_string_lossy().into_owned();
    let deployed = cli::run(&host, &["deploy", &manifest, "--deadline", "30s"]).await;
    assert_eq!(deployed.code, Some(0), "{deployed:?}");
    let published = cli::run(&host, &["publish", "greetings.sent", "seven b", "--wait"]).await;
    assert!(published.stdout.contains("ack, 2 attempts"), "{published:?}");
    assert!(published.stdout.contains("1000000 times Some(7)"), "{published:?}");
    assert!(published.stdout.contains("panicked at src/lib.rs:8:5: not at the first attempt"), "{published:?}");
}

#[tokio::test]
async fn a_new_handler_in_go_handles_its_first_event() {
    greets("a_new_handler_in_go_handles_its_first_event", "go", "events/hello.json").await;
}

#[tokio::test]
async fn a_new_handler_in_c_handles_its_first_event() {
    greets("a_new_handler_in_c_handles_its_first_event", "c", "events/hello.txt").await;
}

#[tokio::test]
async fn a_new_handler_in_javascript_handles_its_first_event() {
    let test = "a_new_handler_in_javascript_handles_its_first_event";
    if is_long_run(test) {
        greets(test, "javascript", "events/hello.json").await;
    }
}

#[tokio::test]
async fn a_new_handler_in_typescript_handles_its_first_event() {
    let test = "a_new_handler_in_typescript_handles_its_first_event";
    if is_long_run(test) {
        greets(test, "typescript", "events/hello.json").await;
    }
}

#[tokio::test]
async fn a_new_handler_in_python_handles_its_first_event() {
    let test = "a_new_handler_in_python_handles_its_first_event";
    if is_long_run(test) {
        greets(test, "python", "events/hello.json").await;
    }
}

/// `hostel dev`, and what it says.
struct Dev {
    child: Child,
    out: Lines<BufReader<tokio::process::ChildStdout>>,
    err: Lines<BufReader<tokio::process::ChildStderr>>,
    /// Everything so far, for a failure.
    said: String,
}

impl Dev {
    fn start(project: &Path) -> Self {
        let mut command = hostel(project);
        let mut child =
            command.args(["dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("piped")).lines();
        let err = BufReader::new(child.stderr.take().expect("piped")).lines();
        Self { child, out, err, said: String::new() }
    }

    /// Reads what it shows of events, up to a line with this text.
    async fn shows(&mut self, text: &str) -> String {
        until(&mut self.out, text, &mut self.said).await
    }

    /// Reads what it says otherwise, up to a line with this text.
    async fn says(&mut self, text: &str) -> String {
        until(&mut self.err, text, &mut self.said).await
    }
}

async fn until<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>, text: &str, said: &mut String) -> String {
    let reading = async {
        while let Some(line) = lines.next_line().await.expect("readable") {
            said.push_str(&line);
            said.push('\n');
            if line.contains(text) {
                return Some(line);
            }
        }
        None
    };
    match tokio::time::timeout(BUILDING, reading).await {
        Ok(Some(line)) => line,
        Ok(None) => panic!("it ended before it said `{text}`:\n{said}"),
        Err(_) => panic!("it did not say `{text}` in time:\n{said}"),
    }
}

#[tokio::test]
async fn a_change_is_swapped_in_and_the_last_event_sent_again() {
    let test = "a_change_is_swapped_in_and_the_last_event_sent_again";
    let (_folder, project) = new("swap", "rust").await;
    // Says what is missing, where something is; and compiles what the first build would.
    if built(test, &project).await.is_none() {
        return;
    }
    let mut dev = Dev::start(&project);
    let address = dev.says("events at http://").await;
    let address = address.split([' ', ',']).nth(2).expect("an address").to_owned();
    dev.shows("hello, Ada").await;
    dev.shows("ack in ").await;

    let source = project.join("src/lib.rs");
    let text = fs::read_to_string(&source).expect("a source");
    fs::write(&source, text.replace("hello, {}", "welcome, {}")).expect("written");
    dev.says("changed: src/lib.rs").await;
    dev.shows("welcome, Ada").await;
    dev.shows("ack in ").await;

    fs::write(&source, "this is not Rust").expect("written");
    let complaint = dev.says("the version before keeps serving").await;
    assert!(dev.said.contains("error[E0061]"), "{complaint}\n{}", dev.said);
    let target = Target { admin: address.clone(), ingress: address, tenant: "default".into() };
    let client = Client::new(&target).expect("a good address");
    let event = publication("greetings.sent", r#"{"name": "Grace"}"#);
    let settled = client.publish_and_wait(&event, PATIENCE).await.expect("published");
    assert!(settled.settled, "{settled:?}");
    dev.shows("welcome, Grace").await;

    let pid = dev.child.id().expect("it runs").to_string();
    let killed = std::process::Command::new("kill").args(["-INT", &pid]).status().expect("kill is there");
    assert!(killed.success());
    let ended = tokio::time::timeout(PATIENCE, dev.child.wait()).await.expect("ends in time").expect("waited for");
    assert_eq!(ended.code(), Some(0), "{}", dev.said);
}

#[tokio::test]
async fn a_project_is_never_laid_out_over_something() {
    let (folder, project) = new("greet", "c").await;
    let before = sources(&project);
    let check = |arguments: &'static [&'static str], code: i32, expected: &'static str| {
        let mut command = hostel(folder.path());
        async move {
            let ran = run(command.arg("new").args(arguments)).await;
            assert_eq!(ran.code, Some(code), "{ran:?}");
            assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        }
    };
    check(&["greet", "--lang", "rust"], 1, "error[E0063]: `greet` is there already and not empty").await;
    check(&["Greet", "--lang", "rust"], 1, "error[E0011]").await;
    check(&["async", "--lang", "rust"], 1, "`async` means something else to a compiler").await;
    check(&["other", "--lang", "rust", "--topic", "a..b"], 1, "error[E0011]").await;
    check(&["other", "--lang", "pyton"], 2, "a similar value exists: 'python'").await;
    assert_eq!(sources(&project), before);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[tokio::test]
async fn a_missing_tool_is_named_with_what_brings_it() {
    for (language, expected) in [
        ("rust", "rustup target add wasm32-wasip2"),
        ("javascript", "apt-get install nodejs npm"),
        ("python", "apt-get install python3-venv"),
        ("go", "install Go 1.24 or newer"),
        ("c", "apt-get install --no-install-recommends clang-19"),
    ] {
        let (_folder, project) = new("greet", language).await;
        let ran = run(hostel(&project).arg("build").env("PATH", project.join("nothing"))).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("error[E0060]") && ran.stderr.contains(expected), "{language}: {}", ran.stderr);
    }
}
