//! A running driver.

#![expect(clippy::indexing_slicing, reason = "an index into JSON that is not there gives null")]

use std::collections::{BTreeMap, VecDeque};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hostel_api::registry::{NodeView, ServiceView};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Version, until};
use crate::host::PATIENCE;

/// Lines that a driver may be ahead of its test: more than any test asks for. One that is further ahead waits.
const AHEAD: usize = 65_536;

/// A raw message as a subscriber got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// By name, exactly as go-micro's handler sees them.
    pub header: BTreeMap<String, String>,
    /// Any bytes.
    pub body: Vec<u8>,
}

impl Message {
    /// A header, in whatever case: HTTP, which it may have gone through, keeps none.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its number among those of one [`Publish`], or as the test gave it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.header("Number").and_then(|text| text.parse().ok()).expect("the message has a header `Number`")
    }
}

/// A typed event as a subscriber of `micro.RegisterSubscriber` got it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Decoded {
    /// Where.
    pub topic: String,
    /// `json` or `protobuf`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the codec made of the body.
    pub greeting: Greeting,
    /// The metadata of the handler's context.
    pub header: BTreeMap<String, String>,
}

/// What the typed events say; a protobuf event has no number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Greeting {
    /// Some text.
    pub text: String,
    /// Some number.
    pub number: i64,
}

/// A subscriber for `micro.RegisterSubscriber`.
#[derive(Debug, Clone, Copy)]
pub struct Subscriber<'a> {
    /// What it hears.
    pub topic: &'a str,
    /// Whom it shares events with.
    pub queue: Option<&'a str>,
    /// `json` or `protobuf`.
    pub kind: &'a str,
}

/// Messages to publish by `broker.Publish`.
#[derive(Debug, Clone, Default)]
pub struct Publish<'a> {
    /// Where.
    pub topic: &'a str,
    /// Names and values.
    pub header: &'a [(&'a str, &'a str)],
    /// Any bytes.
    pub body: &'a [u8],
    /// How many, each with a header `Number` that counts from 0; 0 is one without.
    pub count: u64,
    /// How many may be unacknowledged; 0: does not wait. Only subscribers that are drivers acknowledge.
    pub window: u64,
    /// One in this time; zero: as fast as `Publish` returns.
    pub every: Duration,
}

/// What became of it, as far as go-micro's publisher knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Published {
    /// Calls that returned an error.
    pub failed: u64,
    /// The first of them.
    pub first_error: String,
    /// From the first call to the return of the last; with a window, to the last acknowledgement.
    pub took_ns: u64,
    /// Half of the messages were acknowledged in this time; 0 without a window.
    #[serde(default)]
    pub p50_ns: u64,
    /// 99 of 100 were acknowledged in this time; 0 without a window.
    #[serde(default)]
    pub p99_ns: u64,
}

/// A go-micro program. Killed when it is dropped.
pub struct Driver {
    version: Version,
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<Value>,
    reader: JoinHandle<()>,
    /// What it saw and nobody asked for yet.
    seen: VecDeque<Value>,
}

impl Driver {
    /// Starts a driver of a version.
    pub async fn start(version: Version) -> Self {
        Self::start_with(version, &[]).await
    }

    /// Starts a driver with flags, such as `--secure`.
    pub async fn start_with(version: Version, flags: &[&str]) -> Self {
        let mut command = Command::new(version.program());
        command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut child = command.spawn().expect("the driver starts");
        let stdin = child.stdin.take().expect("stdin is piped");
        let mut output = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let (sender, lines) = mpsc::channel(AHEAD);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                let line = serde_json::from_str(&line).expect("the driver writes JSON");
                if sender.send(line).await.is_err() {
                    break;
                }
            }
        });
        let mut driver = Self { version, child, stdin, lines, reader, seen: VecDeque::new() };
        driver.answer("start").await;
        driver
    }

    /// Of which go-micro it is.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// `broker.Subscribe`.
    pub async fn subscribe(&mut self, topic: &str, queue: Option<&str>) {
        self.ask(json!({ "do": "subscribe", "topic": topic, "queue": queue.unwrap_or_default() })).await;
    }

    /// Lets handlers fail from now on, or not.
    pub async fn fail(&mut self, fail: bool) {
        self.ask(json!({ "do": "fail", "fail": fail })).await;
    }

    /// Lets raw handlers take this long from now on.
    pub async fn slow(&mut self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        self.ask(json!({ "do": "slow", "slow_ms": millis })).await;
    }

    /// How often its handlers were called.
    pub async fn received(&mut self) -> u64 {
        self.ask(json!({ "do": "count" })).await["received"].as_u64().expect("as the protocol says")
    }

    /// `broker.Publish`.
    pub async fn publish(&mut self, publish: &Publish<'_>) -> Published {
        let header: BTreeMap<_, _> = publish.header.iter().copied().collect();
        let answer = self
            .ask(json!({
                "do": "publish",
                "topic": publish.topic,
                "header": header,
                "body": BASE64.encode(publish.body),
                "count": publish.count,
                "window": publish.window,
                "every_us": u64::try_from(publish.every.as_micros()).expect("a short time"),
            }))
            .await;
        serde_json::from_value(answer).expect("as the protocol says")
    }

    /// `micro.RegisterSubscriber` for each, and starts the service. Once for each driver.
    pub async fn serve(&mut self, subscribers: &[Subscriber<'_>]) {
        let subscriber = |subscriber: &Subscriber<'_>| {
            let Subscriber { topic, queue, kind } = *subscriber;
            json!({ "topic": topic, "queue": queue.unwrap_or_default(), "type": kind })
        };
        let subscribers: Vec<Value> = subscribers.iter().map(subscriber).collect();
        self.ask(json!({ "do": "serve", "subscribers": subscribers })).await;
    }

    /// `client.Publish` of a typed event, `json` or `protobuf`.
    pub async fn client_publish(&mut self, topic: &str, kind: &str, text: &str) {
        let greeting = json!({ "text": text, "number": 7 });
        self.ask(json!({ "do": "client-publish", "topic": topic, "type": kind, "greeting": greeting, "header": {} }))
            .await;
    }

    /// `registry.GetService`: one entry for each version; none if nobody offers it.
    pub async fn service(&mut self, name: &str) -> Vec<ServiceView> {
        let answer = self.send(json!({ "do": "services", "name": name })).await;
        if answer["error"] == "service not found" {
            return Vec::new();
        }
        services(answer)
    }

    /// `registry.ListServices`.
    pub async fn services(&mut self) -> Vec<ServiceView> {
        services(self.ask(json!({ "do": "services" })).await)
    }

    /// The nodes by which brokers hear a topic, with the version they stand under.
    pub async fn listeners(&mut self, topic: &str) -> Vec<(String, NodeView)> {
        let versions = self.service(self.version.broker()).await;
        let nodes = |service: ServiceView| {
            let version = service.version;
            service.nodes.into_iter().map(move |node| (version.clone(), node))
        };
        let hears = |node: &NodeView| node.metadata.get("topic").is_some_and(|own| own == topic);
        versions.into_iter().flat_map(nodes).filter(|(_, node)| hears(node)).collect()
    }

    /// Waits until the registry has so many nodes that hear a topic.
    pub async fn until_listeners(&mut self, topic: &str, count: usize) {
        until(&format!("{count} nodes that hear {topic}"), async || self.listeners(topic).await.len() == count).await;
    }

    /// `registry.Watch`.
    pub async fn watch(&mut self) {
        self.ask(json!({ "do": "watch" })).await;
    }

    /// The next message that its raw subscribers saw.
    pub async fn message(&mut self) -> Message {
        self.message_within(PATIENCE).await.expect("a message in time")
    }

    /// The next message that its raw subscribers saw; `None` if there is none for this long.
    pub async fn message_within(&mut self, patience: Duration) -> Option<Message> {
        self.see("message", patience).await.as_ref().map(message)
    }

    /// Its messages until none came for this long.
    pub async fn messages_until_quiet(&mut self, quiet: Duration) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.message_within(quiet).await {
            messages.push(message);
        }
        messages
    }

    /// The next event that its typed subscribers saw.
    pub async fn decoded(&mut self) -> Decoded {
        let line = self.see("decoded", PATIENCE).await.expect("an event in time");
        serde_json::from_value(line).expect("as the protocol says")
    }

    /// The next change that its watch saw.
    pub async fn change(&mut self) -> (String, ServiceView) {
        let mut line = self.see("change", PATIENCE).await.expect("a change in time");
        let action = line["action"].as_str().expect("as the protocol says").to_owned();
        (action, serde_json::from_value(line["service"].take()).expect("go-micro's own JSON"))
    }

    /// Sends a signal, such as `STOP` and `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the driver runs").to_string();
        let status = std::process::Command::new("kill").arg(format!("-{name}")).arg(pid).status();
        assert!(status.expect("kill is there").success());
    }

    /// Kills it, without a goodbye to anybody, and returns the messages that it saw and nobody asked for.
    pub async fn kill(mut self) -> Vec<Message> {
        self.child.kill().await.expect("the driver runs");
        // Reads what is in the pipe.
        self.messages_until_end().await
    }

    /// Leaves the registry and ends.
    pub async fn quit(mut self) -> ExitStatus {
        self.ask(json!({ "do": "quit" })).await;
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("ends in time").expect("waited for")
    }

    async fn messages_until_end(&mut self) -> Vec<Message> {
        while let Some(line) = self.lines.recv().await {
            self.seen.push_back(line);
        }
        self.seen.iter().filter(|line| line["saw"] == "message").map(message).collect()
    }

    /// Sends a command and returns the answer, which must not be an error.
    async fn ask(&mut self, command: Value) -> Value {
        let answer = self.send(command.clone()).await;
        assert_eq!(answer["error"], "", "{command}");
        answer
    }

    async fn send(&mut self, command: Value) -> Value {
        let mut line = command.to_string();
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).await.expect("the driver reads");
        self.answer(command["do"].as_str().expect("a command has a name")).await
    }

    async fn answer(&mut self, to: &str) -> Value {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await.expect("an answer in time");
            let line = line.unwrap_or_else(|| panic!("the driver ended before it answered `{to}`"));
            if line["did"] == to {
                return line;
            }
            self.seen.push_back(line);
        }
    }

    /// The next thing of a kind that it saw; `None` if there is none for this long.
    async fn see(&mut self, kind: &str, patience: Duration) -> Option<Value> {
        if let Some(at) = self.seen.iter().position(|line| line["saw"] == kind) {
            return self.seen.remove(at);
        }
        let wait = async {
            loop {
                let line = self.lines.recv().await.expect("the driver runs");
                if line["saw"] == kind {
                    return line;
                }
                self.seen.push_back(line);
            }
        };
        tokio::time::timeout(patience, wait).await.ok()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Ends by itself with the pipe, but need not be waited for.
        self.reader.abort();
    }
}

fn services(mut answer: Value) -> Vec<ServiceView> {
    assert_eq!(answer["error"], "", "{answer}");
    serde_json::from_value(answer["services"].take()).unwrap_or_default()
}

fn message(line: &Value) -> Message {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    Message {
        topic: text("topic"),
        header: serde_json::from_value(line["header"].clone()).expect("as the protocol says"),
        body: BASE64.decode(text("body")).expect("Go writes base64"),
    }
}
