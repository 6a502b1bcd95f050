//! `hostel dev`: a host for one project, which is built anew and swapped in whenever its sources change. The last event
//! is then sent again, so that one sees at once what a change does.
//!
//! The host runs in this process. A build that fails changes nothing: the last version keeps serving. One task does
//! everything, so that nothing is left when it ends.

mod show;

use std::fs;
use std::future::{self, Future};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use hostel_api::manifest::Manifest;
use hostel_api::problem::Code;
use hostel_event::message::Message;
use hostel_event::pattern::Pattern;
use hostel_event::port::Publication;
use hostel_event::subscription::Audience;
use hostel_event::topic::Topic;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};
use toml::Value;

use crate::author::check::Checked;
use crate::author::language::Language;
use crate::author::project::Project;
use crate::author::watch::Seen;
use crate::author::{build, check, template, watch};
use crate::config::Config;
use crate::config::load::{Mistake, Sources, load};
use crate::observe::outcomes::Outcome;
use crate::serve::{self, Serving};
use crate::telemetry;

use super::failure::Failure;
use super::{build as build_command, output};

/// The ports that a host has by default, which are taken if they are free: one remembers them.
const PORTS: (u16, u16) = (4300, 4301);
/// What a host keeps between two runs of `dev`: compiled code, so that an unchanged component starts at once.
const KEPT: &str = "cache";
/// Where sample events are. The first by name is sent at the start.
const SAMPLES: &str = "events";

/// The flags of `dev`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The project's folder, or its handler.toml
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// What it is written in [default: told from its files]
    #[arg(long, short, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,
    /// The body of the event to begin with; - is standard input [default: the first file in `events`]
    #[arg(long, value_name = "FILE")]
    publish: Option<PathBuf>,
    /// Where to publish it [default: a topic that the handler hears]
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Where to listen for events [default: 127.0.0.1:4300, or any free port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    ingress: Option<SocketAddr>,
    /// Where to listen for operators [default: 127.0.0.1:4301, or any free port]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
}

/// A build that runs. Dropping it ends its tools.
type Building = Pin<Box<dyn Future<Output = Result<Checked, Failure>>>>;

/// An event to send, once there is a version that can handle it.
#[derive(Debug, Clone)]
struct Sample {
    topic: Topic,
    message: Message,
}

/// Runs until Ctrl-C.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let project = Project::open(&arguments.path, arguments.lang)?;
    let sample = first_sample(&project, arguments)?;
    build_command::mention_sdk(&project);
    let config = config(&project, arguments)?;
    telemetry::begin(&config.log);
    let (started, starting) = oneshot::channel();
    let host = serve::serve(config.clone(), |serving| {
        // The receiver waits below for as long as the host starts.
        let _ = started.send(serving);
    });
    let work = async {
        let Ok(serving) = starting.await else { return future::pending().await };
        let outcomes = serving.ingress.watchers.outcomes.watch();
        tell(&project, &serving, sample.as_ref())?;
        Session { arguments, config: &config, project, serving, sample, works: false }.run(outcomes).await
    };
    // The host is first: it hears the signal, finishes what runs and ends; a build that runs then ends with the other.
    tokio::select! {
        ended = host => ended.map_err(|Mistake { code, text }| Failure::coded(code, text)),
        failed = work => failed,
    }
}

/// One run of `dev`, from the first build to the end.
struct Session<'a> {
    arguments: &'a Arguments,
    config: &'a Config,
    project: Project,
    serving: Serving,
    /// What is sent when a version is swapped in.
    sample: Option<Sample>,
    /// Whether a version serves.
    works: bool,
}

impl Session<'_> {
    /// Builds, watches and shows, for ever. Cancelling is how it ends.
    async fn run(mut self, mut outcomes: broadcast::Receiver<Outcome>) -> Result<(), Failure> {
        let mut shown = show::Shown::default();
        let mut seen = watch::look(&self.project.folder).await;
        let mut building = Some(building(&self.project));
        loop {
            let folder = self.project.folder.clone();
            tokio::select! {
                outcome = outcomes.recv() => self.ended(outcome, &mut shown)?,
                built = finished(&mut building) => {
                    building = None;
                    self.built(built).await?;
                }
                // What is changed while it builds is built next.
                now = watch::changed(&folder, &seen), if building.is_none() => {
                    output::talk(&format!("changed: {}", differing(&folder, &seen, &now)));
                    seen = now;
                    building = self.reopened();
                }
            }
        }
    }

    /// The manifest may have changed as well.
    fn reopened(&mut self) -> Option<Building> {
        match Project::open(&self.arguments.path, self.arguments.lang) {
            Ok(project) => {
                self.project = project;
                Some(building(&self.project))
            }
            Err(failure) => {
                self.complain(&failure);
                None
            }
        }
    }

    /// Swaps in what was built, and sends the last event again.
    async fn built(&mut self, built: Result<Checked, Failure>) -> Result<(), Failure> {
        let checked = match built {
            Ok(checked) => checked,
            Err(failure) => {
                self.complain(&failure);
                return Ok(());
            }
        };
        output::say(&check::render(&checked));
        let path = &self.project.manifest_path;
        if let Err(Mistake { code, text }) = serve::deploy(&self.serving.deployments, self.config, path).await {
            self.complain(&Failure::coded(code, text));
            return Ok(());
        }
        self.works = true;
        self.send().await
    }

    async fn send(&self) -> Result<(), Failure> {
        let Some(Sample { topic, message }) = self.sample.clone() else { return Ok(()) };
        let tenant = self.serving.tenant.clone();
        let publication = Publication { tenant, topic, id: None, audience: Audience::Everyone, message };
        match self.serving.ingress.publish.publish(publication).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::plain(format!("cannot publish the last event: {error}"))),
        }
    }

    /// Shows how an attempt or an event ended, and remembers the event.
    fn ended(&mut self, outcome: Result<Outcome, RecvError>, shown: &mut show::Shown) -> Result<(), Failure> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(RecvError::Lagged(count)) => {
                output::talk(&format!("{count} endings are not shown: there were too many at a time"));
                return Ok(());
            }
            // The host has gone, and with it this.
            Err(RecvError::Closed) => return Ok(()),
        };
        if outcome.subscription.handler() != self.project.manifest.name {
            return Ok(());
        }
        let event = &outcome.event;
        self.sample = Some(Sample { topic: event.topic.clone(), message: event.message.clone() });
        output::data(&shown.lines(&outcome))
    }

    fn complain(&self, failure: &Failure) {
        if let Some(text) = failure.render() {
            output::talk(&text);
        }
        output::talk(if self.works {
            "the version before keeps serving; waiting for a change"
        } else {
            "nothing serves yet; waiting for a change"
        });
    }
}

fn building(project: &Project) -> Building {
    let project = project.clone();
    Box::pin(async move { build::build(&project).await })
}

/// Waits for a build if there is one.
async fn finished(building: &mut Option<Building>) -> Result<Checked, Failure> {
    match building {
        Some(building) => building.await,
        None => future::pending().await,
    }
}

/// The first file that differs, and how many more do.
fn differing(folder: &Path, before: &Seen, now: &Seen) -> String {
    let changed = now.iter().filter(|(path, look)| before.get(*path) != Some(look)).map(|(path, _)| path);
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    let mut paths = changed.chain(gone);
    let first = paths.next().map(|path| path.strip_prefix(folder).unwrap_or(path).display().to_string());
    match (first, paths.count()) {
        (Some(first), 0) => first,
        (Some(first), more) => format!("{first} and {more} more"),
        (None, _) => "something".to_owned(),
    }
}

/// Says where the host is and how to send it an event.
fn tell(project: &Project, serving: &Serving, sample: Option<&Sample>) -> Result<(), Failure> {
    let Serving { ingress_address, admin_address, .. } = serving;
    output::talk(&format!("events at http://{ingress_address}, operators at http://{admin_address}; Ctrl-C ends it"));
    let topic = match (sample, patterns(&project.manifest).next()) {
        (Some(sample), _) => sample.topic.to_string(),
        (None, Some(pattern)) => template::example_topic(&pattern),
        (None, None) => {
            return Err(Failure::Misuse("the handler hears nothing: handler.toml has no `[[subscriptions]]`".into()));
        }
    };
    let body = samples(&project.folder).into_iter().next();
    let body = body.map_or_else(|| "'{}'".to_owned(), |path| format!("@{}", path.display()));
    output::talk(&format!("try: curl http://{ingress_address}/topics/{topic} --data-binary {body}"));
    Ok(())
}

fn patterns(manifest: &Manifest) -> impl Iterator<Item = Pattern> {
    manifest.subscriptions.iter().filter_map(|subscription| Pattern::new(&subscription.pattern).ok())
}

/// The sample events of a project, by name, below its folder.
fn samples(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(SAMPLES)).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let mut paths: Vec<PathBuf> = files.map(|entry| Path::new(SAMPLES).join(entry.file_name())).collect();
    paths.sort();
    paths
}

/// What to begin with: what was asked for, or the project's first sample.
fn first_sample(project: &Project, arguments: &Arguments) -> Result<Option<Sample>, Failure> {
    let malformed = |text: String| Failure::coded(Code::MalformedTopic, text);
    let topic = match &arguments.topic {
        Some(topic) => topic.clone(),
        None => match patterns(&project.manifest).next() {
            Some(pattern) => template::example_topic(&pattern),
            None => return Ok(None),
        },
    };
    let topic = Topic::new(&topic).map_err(|error| malformed(error.to_string()))?;
    let path = match &arguments.publish {
        Some(path) if path.as_os_str() == "-" => {
            let body = std::io::read_to_string(std::io::stdin());
            let body = body.map_err(|error| Failure::plain(format!("cannot read standard input: {error}")))?;
            return Ok(Some(Sample { topic, message: message(body.into_bytes()) }));
        }
        Some(path) => path.clone(),
        None => match samples(&project.folder).into_iter().next() {
            Some(path) => project.folder.join(path),
            None => return Ok(None),
        },
    };
    let body = fs::read(&path).map_err(|error| Failure::unreadable(&path, &error))?;
    Ok(Some(Sample { topic, message: message(body) }))
}

/// A message that says that it is JSON if it is.
fn message(body: Vec<u8>) -> Message {
    let mut message = Message::default();
    let looks_like_it = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    if looks_like_it && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() {
        // A plain header, which is well-formed.
        let _ = message.headers.append("Content-Type", "application/json");
    }
    message.body = body.into();
    message
}

/// The config of a host that sees and keeps nothing but this project's: no peers, and data that are thrown away.
fn config(project: &Project, arguments: &Arguments) -> Result<Config, Failure> {
    let data = project.work("dev")?;
    for entry in fs::read_dir(&data).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name() != KEPT {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|error| Failure::plain(format!("cannot remove `{}`: {error}", path.display())))?;
        }
    }
    let text = |key, value: &str| (key, Value::String(value.to_owned()));
    let address = |given: Option<SocketAddr>, usual| given.unwrap_or_else(|| free(usual)).to_string();
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // What runs beside it on this machine is most often what a handler under development talks to.
    let loopback = Value::Array(["127.0.0.0/8", "::1"].map(|network| Value::String(network.to_owned())).to_vec());
    let opened = std::env::var_os("HOSTEL_RUNTIME_PRIVATE_ADDRESSES").is_none().then_some(loopback);
    let sources = Sources {
        environment,
        flags: vec![
            text("data_dir", &data.to_string_lossy()),
            text("ingress.listen", &address(arguments.ingress, PORTS.0)),
            text("admin.listen", &address(arguments.admin, PORTS.1)),
            text("registry.use", "memory"),
            text("peers.use", "none"),
            text("log.filter", "warn"),
        ]
        .into_iter()
        .chain(opened.map(|networks| ("runtime.private_addresses", networks)))
        .collect(),
        ..Sources::default()
    };
    let config = load(&sources).map_err(|mistakes| {
        let all: Vec<String> = mistakes.iter().map(|mistake| mistake.text.clone()).collect();
        Failure::coded(mistakes.first().map_or(Code::BadConfigValue, |mistake| mistake.code), all.join("; "))
    })?;
    // Whoever ends this wants it ended.
    Ok(Config { shutdown_deadline: hostel_api::unit::Span(Duration::from_secs(2)), ..config })
}

/// The usual port if it is free, or any.
fn free(port: u16) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if TcpListener::bind(usual).is_ok() { usual } else { SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_says_that_it_is_json_if_it_is() {
        assert_eq!(message(b" {\"a\": 1}".to_vec()).headers.get("content-type"), Some("application/json"));
        assert!(message(b"Ada".to_vec()).headers.is_empty());
        assert!(message(b"{not json".to_vec()).headers.is_empty());
    }

    #[test]
    fn what_changed_is_named() {
        let look = |size| (std::time::SystemTime::UNIX_EPOCH, size);
        let seen = |files: &[(&str, u64)]| -> Seen {
            files.iter().map(|(path, size)| (Path::new("/a").join(path), look(*size))).collect()
        };
        let check = |before: &[(&str, u64)], now: &[(&str, u64)], expected: &str| {
            assert_eq!(differing(Path::new("/a"), &seen(before), &seen(now)), expected);
        };
        check(&[("x", 1)], &[("x", 2)], "x");
        check(&[("x", 1)], &[], "x");
        check(&[("x", 1)], &[("x", 2), ("y", 1), ("z", 1)], "x and 2 more");
    }
}
