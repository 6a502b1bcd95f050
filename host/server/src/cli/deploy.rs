//! `hostel deploy`: a manifest or a bare component becomes a handler that runs.

mod progress;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hostel_api::client::{Client, ClientError};
use hostel_api::manifest::{Limits, Manifest, Settings, Subscription};
use hostel_api::problem::Code;
use hostel_api::unit::{ByteSize, Span};
use hostel_api::view::StageView;
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::{handlers, output, text};
use crate::bundle::{self, BundleError};
use progress::Show;

/// What a host takes as a component unless it is configured otherwise.
const USUAL_COMPONENT_LIMIT: usize = 64 * 1024 * 1024;

/// The most bytes of files that are packed before a host is asked whether it takes as many.
const BUNDLE_LIMIT: u64 = 1 << 30;

/// The flags of `deploy`. Each wins over the manifest.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// A manifest (.toml), or a component, which then needs --topic
    #[arg(value_name = "MANIFEST.toml|COMPONENT.wasm")]
    path: PathBuf,
    /// What it hears, instead of the manifest's subscriptions; may repeat
    #[arg(long = "topic", value_name = "PATTERN")]
    topics: Vec<String>,
    /// The handler's name [default: the manifest's, or the component's file name]
    #[arg(long)]
    name: Option<String>,
    /// The version
    #[arg(long)]
    version: Option<String>,
    /// Where a subscription begins that is new: `earliest`, `latest` or a time such as `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "PLACE")]
    start: Option<String>,
    /// Share events with all that hear through this queue group
    #[arg(long, value_name = "GROUP")]
    queue: Option<String>,
    /// How many deliveries of a subscription run at the same time
    #[arg(long, value_name = "N")]
    concurrency: Option<NonZeroU32>,
    /// How many attempts an event gets
    #[arg(long, value_name = "N")]
    attempts: Option<NonZeroU32>,
    /// How long one invocation may take, such as 5s
    #[arg(long, value_name = "DURATION")]
    deadline: Option<Span>,
    /// How much memory one invocation may use, such as 64MiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// How many events one instance may serve, one after another; 1 gives every event a fresh one
    #[arg(long, value_name = "N")]
    reuse: Option<NonZeroU32>,
    /// Where it may publish, instead of what the manifest says; may repeat
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    /// Which buckets it may read and write, instead of what the manifest says; may repeat
    #[arg(long, value_name = "BUCKET")]
    keyvalue: Vec<String>,
    /// Where it may send HTTP requests, instead of what the manifest says; may repeat
    #[arg(long, value_name = "URL")]
    http: Vec<String>,
    /// Which of the tenant's secrets it gets, instead of what the manifest says; may repeat
    #[arg(long = "secret", value_name = "NAME")]
    secrets: Vec<String>,
    /// A key of its config; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    config: Vec<(String, String)>,
    /// Print what was deployed as JSON
    #[arg(long)]
    json: bool,
}

/// Deploys a handler: hands over the component unless the host has it, then the manifest.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let mut manifest = overlay(begin(arguments).await?, arguments);
    if manifest.subscriptions.is_empty() {
        return Err(Failure::Misuse(format!(
            "`{}` would hear nothing; say what with `--topic PATTERN`",
            text::line(&manifest.name)
        )));
    }
    let mut took = Vec::new();
    let mut show = Show::new(&manifest.name, arguments.json);
    if !manifest.component.starts_with("sha256:") {
        let path = component_path(&arguments.path, &manifest.component);
        (manifest.component, took) = upload(client, &path, &mut show).await?;
    }
    if let Some(folder) = manifest.files.as_ref().filter(|files| !files.starts_with("sha256:")) {
        let folder = arguments.path.parent().unwrap_or(Path::new("")).join(folder);
        manifest.files = Some(bring(client, folder, &mut show).await?);
    }
    let deployed = show.deploy(async |progress| client.deploy_telling(&manifest, &progress).await).await?;
    let handler = &deployed.handler;
    let (name, version, digest) = (&handler.name, &handler.version, handlers::short(&handler.component));
    let verb = if deployed.changed { "deployed" } else { "nothing changed:" };
    took.extend(deployed.took.iter().cloned());
    output::talk(&text::line(&format!("{verb} `{name}` {version} ({digest}){}", stages(&took))));
    if arguments.json { output::json(&deployed) } else { Ok(()) }
}

/// The manifest before the flags: the one that was given, or the least that a bare component needs.
async fn begin(arguments: &Arguments) -> Result<Manifest, Failure> {
    let path = &arguments.path;
    if !is_manifest(path) {
        return Ok(Manifest {
            name: name_of(path),
            version: "0.0.0".to_owned(),
            component: path.to_string_lossy().into_owned(),
            publish: Vec::new(),
            keyvalue: Vec::new(),
            http: Vec::new(),
            secrets: Vec::new(),
            subscriptions: Vec::new(),
            reuse: None,
            limits: Limits::default(),
            config: Settings::default(),
            environment: Settings::default(),
            files: None,
        });
    }
    let bytes = tokio::fs::read_to_string(path).await.map_err(|error| Failure::unreadable(path, &error))?;
    Manifest::from_toml(&bytes, &path.to_string_lossy())
        .map_err(|error| Failure::coded(Code::MalformedDocument, error.to_string()))
}

/// Lays the flags over a manifest.
fn overlay(mut manifest: Manifest, arguments: &Arguments) -> Manifest {
    let take = |value: &mut String, flag: &Option<String>| {
        if let Some(flag) = flag {
            value.clone_from(flag);
        }
    };
    take(&mut manifest.name, &arguments.name);
    take(&mut manifest.version, &arguments.version);
    if !arguments.publish.is_empty() {
        manifest.publish.clone_from(&arguments.publish);
    }
    if !arguments.keyvalue.is_empty() {
        manifest.keyvalue.clone_from(&arguments.keyvalue);
    }
    if !arguments.http.is_empty() {
        manifest.http.clone_from(&arguments.http);
    }
    if !arguments.secrets.is_empty() {
        manifest.secrets.clone_from(&arguments.secrets);
    }
    if !arguments.topics.is_empty() {
        let heard = arguments.topics.iter();
        manifest.subscriptions =
            heard.map(|pattern| Subscription { pattern: pattern.clone(), ..Subscription::default() }).collect();
    }
    for subscription in &mut manifest.subscriptions {
        subscription.queue = arguments.queue.clone().or(subscription.queue.take());
        subscription.start = arguments.start.clone().or(subscription.start.take());
        subscription.concurrency = arguments.concurrency.or(subscription.concurrency);
        subscription.retry.attempts = arguments.attempts.or(subscription.retry.attempts);
    }
    manifest.limits.deadline = arguments.deadline.or(manifest.limits.deadline);
    manifest.limits.memory = arguments.memory.or(manifest.limits.memory);
    manifest.reuse = arguments.reuse.or(manifest.reuse);
    manifest.config.0.extend(arguments.config.iter().cloned());
    manifest
}

/// Hands over a component unless the host has it; gives its digest, and what was done with it.
async fn upload(client: &Client, path: &Path, show: &mut Show) -> Result<(String, Vec<StageView>), Failure> {
    let bytes = tokio::fs::read(path).await.map_err(|error| Failure::unreadable(path, &error))?;
    let size = bytes.len();
    let digest = digest(&bytes);
    let mut took = Vec::new();
    if client.component(&digest).await?.is_none() {
        let began = Instant::now();
        let put = async |progress| client.put_component_telling(&digest, Bytes::from(bytes), &progress).await;
        let view = show.upload(u64::try_from(size).unwrap_or(u64::MAX), put).await.map_err(|error| match error {
            // A host that will not read so much hangs up, and what it says may be lost with the connection.
            ClientError::Broken { .. } if size > USUAL_COMPONENT_LIMIT => Failure::coded(
                Code::ComponentTooLarge,
                format!("`{}` has {size} bytes, and the host hung up while it was sent", path.display()),
            ),
            other => other.into(),
        })?;
        took = with_upload(view.took, began.elapsed());
    }
    Ok((digest, took))
}

/// Hands over the files of a folder unless the host has them; gives the digest of their bundle.
async fn bring(client: &Client, folder: PathBuf, show: &mut Show) -> Result<String, Failure> {
    let packed = tokio::task::spawn_blocking(move || bundle::pack(&folder, BUNDLE_LIMIT)).await;
    let packed = packed.map_err(|error| Failure::plain(error.to_string()))?;
    let bundle = packed.map_err(|error| match error {
        BundleError::Io { .. } => Failure::coded(Code::FileUnreadable, error.to_string()),
        BundleError::Refused(text) | BundleError::TooLarge(text) => Failure::coded(Code::BundleRefused, text),
    })?;
    let digest = digest(&bundle);
    if client.files(&digest).await?.is_none() {
        let bytes = u64::try_from(bundle.len()).unwrap_or(u64::MAX);
        show.upload(bytes, async |progress| client.put_files(&digest, Bytes::from(bundle), &progress).await).await?;
    }
    Ok(digest)
}

/// The host's stages, and before them what of the whole time is not theirs.
fn with_upload(stages: Vec<StageView>, whole: Duration) -> Vec<StageView> {
    let whole = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
    let theirs = stages.iter().map(|stage| stage.micros).fold(0, u64::saturating_add);
    let upload = StageView { stage: "upload".to_owned(), micros: whole.saturating_sub(theirs) };
    std::iter::once(upload).chain(stages).collect()
}

/// Stages as people read them: those of one name together, and those that took no time left out.
fn stages(took: &[StageView]) -> String {
    let mut sums: Vec<(&str, u64)> = Vec::new();
    for StageView { stage, micros } in took {
        match sums.iter_mut().find(|(name, _)| name == stage) {
            Some((_, sum)) => *sum = sum.saturating_add(*micros),
            None => sums.push((stage, *micros)),
        }
    }
    let told = sums.iter().filter(|(_, micros)| *micros >= 1_000);
    let told: Vec<String> = told.map(|(stage, micros)| format!("{stage} {} ms", micros / 1_000)).collect();
    if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Where the component is: beside the manifest that names it, or the very path that was given.
fn component_path(given: &Path, component: &str) -> PathBuf {
    if !is_manifest(given) {
        return given.to_owned();
    }
    given.parent().unwrap_or(Path::new("")).join(component)
}

/// A handler's name made of a component's file name: build tools write `_` where a name has `-`.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String = stem.chars().map(|c| if matches!(c, '_' | '.' | ' ') { '-' } else { c }).collect();
    name.trim_matches('-').to_owned()
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as `key=value`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
name = "hello"
version = "0.1.0"
component = "target/hello.wasm"
publish = ["a"]
limits = { memory = "1MiB", log_lines = 7 }
config = { key = "old", other = "kept" }
[[subscriptions]]
pattern = "orders.*"
queue = "workers"
retry = { attempts = 3, backoff = "1s" }
"#;

    fn manifest() -> Manifest {
        Manifest::from_toml(MANIFEST, "handler.toml").unwrap()
    }

    #[test]
    fn without_flags_the_manifest_holds() {
        assert_eq!(overlay(manifest(), &Arguments::default()), manifest());
    }

    #[test]
    fn flags_win_over_the_manifest() {
        let arguments = Arguments {
            name: Some("renamed".to_owned()),
            version: Some("2".to_owned()),
            concurrency: NonZeroU32::new(4),
            attempts: NonZeroU32::new(9),
            deadline: Some("9s".parse().unwrap()),
            memory: Some("2MiB".parse().unwrap()),
            reuse: NonZeroU32::new(7),
            publish: vec!["b".to_owned()],
            keyvalue: vec!["totals".to_owned()],
            config: vec![("key".to_owned(), "new".to_owned())],
            ..Arguments::default()
        };
        let expected = r#"
name = "renamed"
version = "2"
component = "target/hello.wasm"
publish = ["b"]
keyvalue = ["totals"]
reuse = 7
limits = { memory = "2MiB", deadline = "9s", log_lines = 7 }
config = { key = "new", other = "kept" }
[[subscriptions]]
pattern = "orders.*"
queue = "workers"
concurrency = 4
retry = { attempts = 9, backoff = "1s" }
"#;
        assert_eq!(overlay(manifest(), &arguments), Manifest::from_toml(expected, "expected").unwrap());
    }

    #[test]
    fn topics_take_the_place_of_the_manifests_subscriptions() {
        let arguments = Arguments {
            topics: vec!["x".to_owned(), "y.>".to_owned()],
            queue: Some("q".to_owned()),
            ..Arguments::default()
        };
        let one = |pattern: &str| Subscription {
            pattern: pattern.to_owned(),
            queue: Some("q".to_owned()),
            ..Subscription::default()
        };
        assert_eq!(overlay(manifest(), &arguments).subscriptions, [one("x"), one("y.>")]);
    }

    #[test]
    fn stages_are_summed_and_what_took_no_time_is_left_out() {
        let stage = |stage: &str, micros| StageView { stage: stage.to_owned(), micros };
        let host = vec![stage("check", 400), stage("compile", 840_900)];
        let mut took = with_upload(host, Duration::from_millis(850));
        took.extend([stage("check", 700), stage("init", 20)]);
        assert_eq!(stages(&took), ": upload 8 ms, check 1 ms, compile 840 ms");
        assert_eq!(stages(&[stage("check", 999)]), "");
    }

    #[test]
    fn a_component_lies_beside_its_manifest() {
        let check = |given: &str, expected: &str| {
            assert_eq!(component_path(Path::new(given), "target/hello.wasm"), Path::new(expected));
        };
        check("handler.toml", "target/hello.wasm");
        check("handlers/hello/handler.toml", "handlers/hello/target/hello.wasm");
        check("some/hello.wasm", "some/hello.wasm");
    }

    #[test]
    fn a_bare_component_is_named_after_its_file() {
        let check = |path: &str, expected: &str| assert_eq!(name_of(Path::new(path)), expected);
        check("target/student_registrations.wasm", "student-registrations");
        check("Hello.World.wasm", "hello-world");
        check("_a_.wasm", "a");
    }

    #[test]
    fn a_digest_is_written_as_the_api_wants_it() {
        // The test vector "abc" of FIPS 180-4.
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), expected);
    }

    #[test]
    fn a_setting_is_a_key_and_a_value() {
        assert_eq!(setting("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(setting("a="), Ok(("a".to_owned(), String::new())));
        assert!(setting("a").is_err());
        assert!(setting("=b").is_err());
    }
}
