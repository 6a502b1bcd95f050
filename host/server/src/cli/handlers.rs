//! `hostel handlers`, `undeploy`, `rollback`, `subscriptions`, `pause` and `resume`: what is deployed, how it is doing,
//! and whether it goes on.

mod follow;

use std::fmt::Display;

use hostel_api::client::Client;
use hostel_api::manifest::Quarantine;
use hostel_api::view::{HandlerView, PauseBy, PauseView, SubscriptionView};

use super::failure::Failure;
use super::{output, table, text};

/// The flags of `handlers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Show this handler, whole
    name: Option<String>,
    /// Say what changes of it, or of all, as it changes: deployed, rolled back, undeployed, paused, quarantined, resumed
    #[arg(long, short = 'f')]
    follow: bool,
    /// Print JSON; of what is followed each change in a line
    #[arg(long)]
    json: bool,
}

/// The flags of `undeploy`.
#[derive(Debug, clap::Args)]
pub(crate) struct UndeployArguments {
    /// The handler
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The flags of `subscriptions`.
#[derive(Debug, clap::Args)]
pub(crate) struct SubscriptionsArguments {
    #[command(subcommand)]
    action: Option<SubscriptionsAction>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum SubscriptionsAction {
    /// Forget what waits for a subscription that is absent
    Drop {
        /// Its id, such as `default/hello:orders.*`
        id: String,
    },
}

/// The flags of `rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArguments {
    /// The handler
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The flags of `pause` and `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct PauseArguments {
    /// A subscription's id, such as `default/hello:orders.*`, or a handler's name for all that it has
    #[arg(value_name = "SUBSCRIPTION|HANDLER")]
    target: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists the handlers, or shows one.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.follow {
        return follow::run(client, arguments.name.as_deref(), arguments.json).await;
    }
    if let Some(name) = &arguments.name {
        let handler = client.handler(name).await?;
        return if arguments.json { output::json(&handler) } else { output::data(&render(&handler)) };
    }
    let handlers = client.handlers().await?;
    if arguments.json {
        return output::json(&handlers);
    }
    if handlers.is_empty() {
        output::talk("no handlers; `hostel deploy` brings one");
        return Ok(());
    }
    output::data(&list(&handlers))
}

/// Takes a handler away.
pub(crate) async fn undeploy(client: &Client, arguments: &UndeployArguments) -> Result<(), Failure> {
    let view = client.undeploy(&arguments.name).await?;
    let discarded = text::counted(view.discarded, "waiting event");
    output::talk(&format!("undeployed `{}`; discarded {discarded}", arguments.name));
    if arguments.json { output::json(&view) } else { Ok(()) }
}

/// Brings back the version that ran before.
pub(crate) async fn rollback(client: &Client, arguments: &RollbackArguments) -> Result<(), Failure> {
    let view = client.rollback(&arguments.name).await?;
    let HandlerView { name, version, component, .. } = &view.handler;
    output::talk(&format!("rolled back `{}` to version {} ({})", name, text::line(version), short(component)));
    if arguments.json { output::json(&view) } else { Ok(()) }
}

/// Starts nothing more of subscriptions.
pub(crate) async fn pause(client: &Client, arguments: &PauseArguments) -> Result<(), Failure> {
    let subscriptions = client.pause(&arguments.target).await?;
    for one in &subscriptions {
        let waiting = text::counted(one.waiting, "event");
        output::talk(&text::line(&format!("paused `{}`; {waiting} waiting", one.id)));
    }
    if arguments.json { output::json(&subscriptions) } else { Ok(()) }
}

/// Lets subscriptions go on.
pub(crate) async fn resume(client: &Client, arguments: &PauseArguments) -> Result<(), Failure> {
    let subscriptions = client.resume(&arguments.target).await?;
    for one in &subscriptions {
        output::talk(&text::line(&format!("resumed `{}`", one.id)));
    }
    if arguments.json { output::json(&subscriptions) } else { Ok(()) }
}

/// Lists the subscriptions.
pub(crate) async fn subscriptions(client: &Client, arguments: &SubscriptionsArguments) -> Result<(), Failure> {
    if let Some(SubscriptionsAction::Drop { id }) = &arguments.action {
        let dropped = client.drop_subscription(id).await?;
        output::talk(&text::line(&format!("dropped `{id}`; {} forgotten", text::counted(dropped.discarded, "event"))));
        return if arguments.json { output::json(&dropped) } else { Ok(()) };
    }
    let subscriptions = client.subscriptions().await?;
    if arguments.json {
        return output::json(&subscriptions);
    }
    if subscriptions.is_empty() {
        output::talk("no subscriptions; `hostel deploy` brings a handler with its own");
        return Ok(());
    }
    output::data(&doing(&subscriptions))
}

fn list(handlers: &[HandlerView]) -> String {
    let rows: Vec<_> = handlers
        .iter()
        .map(|handler| {
            let patterns: Vec<&str> = handler.subscriptions.iter().map(|one| one.pattern.as_str()).collect();
            [
                handler.name.clone(),
                handler.version.clone(),
                handler.deployed_at.clone(),
                short(&handler.component),
                patterns.join(", "),
                match (&handler.failed, &handler.refused) {
                    (Some(reason), _) => format!("failed: {reason}"),
                    (None, Some(reason)) => format!("runs; refused from the watched folder: {reason}"),
                    (None, None) => "runs".to_owned(),
                },
            ]
        })
        .collect();
    table::render(["NAME", "VERSION", "DEPLOYED", "COMPONENT", "HEARS", "STATE"], &rows)
}

fn render(handler: &HandlerView) -> String {
    let limits = &handler.limits;
    let mut whole = table::fields(&[
        ("name", handler.name.clone()),
        ("version", handler.version.clone()),
        ("component", handler.component.clone()),
        ("world", handler.world.clone()),
        ("deployed", handler.deployed_at.clone()),
        ("failed", handler.failed.clone().unwrap_or_default()),
        ("refused", handler.refused.clone().unwrap_or_default()),
        ("publishes", handler.publish.join(", ")),
        ("config keys", handler.config.join(", ")),
        ("secrets", handler.secrets.join(", ")),
        (
            "denied",
            Some(handler.denied)
                .filter(|calls| *calls > 0)
                .map(|calls| text::counted(calls, "call"))
                .unwrap_or_default(),
        ),
        ("files", handler.files.clone().unwrap_or_default()),
        ("reuse", handler.reuse.map(|events| format!("{events} events")).unwrap_or_default()),
        ("memory", optional(limits.memory.as_ref())),
        ("deadline", optional(limits.deadline.as_ref())),
        ("cpu time", optional(limits.cpu_time.as_ref())),
        ("log lines", optional(limits.log_lines.as_ref())),
        ("log bytes", optional(limits.log_bytes.as_ref())),
        ("published events", optional(limits.published_events.as_ref())),
        ("published bytes", optional(limits.published_bytes.as_ref())),
    ]);
    let rows: Vec<_> = handler
        .subscriptions
        .iter()
        .map(|one| {
            [
                one.pattern.clone(),
                one.queue.clone().unwrap_or_else(|| "-".to_owned()),
                optional(one.concurrency.as_ref()),
                optional(one.window.as_ref()),
                optional(one.retry.attempts.as_ref()),
                optional(one.retry.backoff.as_ref()),
                optional(one.retry.backoff_limit.as_ref()),
                one.order_by.clone().unwrap_or_else(|| "-".to_owned()),
                quarantine(&one.quarantine),
            ]
        })
        .collect();
    let headings =
        ["PATTERN", "QUEUE", "CONCURRENCY", "WINDOW", "ATTEMPTS", "BACKOFF", "BACKOFF LIMIT", "ORDER BY", "QUARANTINE"];
    whole.push('\n');
    whole + &table::render(headings, &rows)
}

fn quarantine(written: &Quarantine) -> String {
    match (written.faults, written.window) {
        (Some(0), _) => "off".to_owned(),
        (Some(faults), Some(window)) => format!("{faults} in {window}"),
        _ => String::new(),
    }
}

fn doing(subscriptions: &[SubscriptionView]) -> String {
    let rows: Vec<_> = subscriptions
        .iter()
        .map(|one| {
            [
                one.handler.clone(),
                one.pattern.clone(),
                one.queue.clone().unwrap_or_else(|| "-".to_owned()),
                one.waiting.to_string(),
                one.running.to_string(),
                one.sleeping.to_string(),
                one.delivered.to_string(),
                one.acked.to_string(),
                one.retried.to_string(),
                one.dead_lettered.to_string(),
                one.expired.to_string(),
                match &one.pause {
                    Some(pause) => state(pause),
                    None if one.absent => "absent".to_owned(),
                    None => "running".to_owned(),
                },
            ]
        })
        .collect();
    let headings = [
        "HANDLER",
        "PATTERN",
        "QUEUE",
        "WAITING",
        "RUNNING",
        "SLEEPING",
        "DELIVERED",
        "ACKED",
        "RETRIED",
        "DEAD",
        "EXPIRED",
        "STATE",
    ];
    table::render(headings, &rows)
}

fn state(pause: &PauseView) -> String {
    let done = match pause.by {
        PauseBy::Operator => "paused",
        PauseBy::Quarantine => "quarantined",
    };
    format!("{done} since {} because {}", pause.since, pause.reason)
}

fn optional(value: Option<&impl Display>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// A digest as people tell them apart: its first twelve digits.
pub(crate) fn short(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use hostel_api::manifest::{Limits, Retry, Subscription};
    use hostel_api::unit::{ByteSize, Span};

    use super::*;

    fn hello() -> HandlerView {
        HandlerView {
            name: "hello".to_owned(),
            version: "0.1.0".to_owned(),
            component: format!("sha256:{}", "ab".repeat(32)),
            world: "hostel:handler/handler@0.1.0".to_owned(),
            deployed_at: "2026-01-01T00:00:00.000Z".to_owned(),
            subscriptions: vec![
                Subscription {
                    pattern: "orders.*".to_owned(),
                    from: None,
                    queue: Some("workers".to_owned()),
                    concurrency: NonZeroU32::new(16),
                    window: NonZeroU32::new(10_000),
                    retry: Retry {
                        attempts: NonZeroU32::new(5),
                        backoff: Some(Span(Duration::from_secs(1))),
                        backoff_limit: Some(Span(Duration::from_secs(60))),
                    },
                    order_by: Some("header:Customer".to_owned()),
                    quarantine: Quarantine { faults: Some(10), window: Some(Span(Duration::from_secs(60))) },
                    start: Some("latest".to_owned()),
                },
                Subscription { pattern: "users.>".to_owned(), ..Subscription::default() },
            ],
            publish: vec![],
            files: None,
            reuse: NonZeroU32::new(50),
            limits: Limits {
                memory: Some(ByteSize(64 << 20)),
                deadline: Some(Span(Duration::from_secs(5))),
                cpu_time: Some(Span(Duration::from_millis(200))),
                log_lines: Some(100),
                log_bytes: Some(ByteSize(16 << 10)),
                published_events: Some(1000),
                published_bytes: Some(ByteSize(16 << 20)),
            },
            config: vec!["key".to_owned(), "secret".to_owned()],
            secrets: vec!["TOKEN".to_owned()],
            denied: 2,
            failed: None,
            refused: None,
            ended: Vec::new(),
        }
    }

    #[test]
    fn handlers_are_listed() {
        let expected = "\
NAME   VERSION  DEPLOYED                  COMPONENT     HEARS              STATE
hello  0.1.0    2026-01-01T00:00:00.000Z  abababababab  orders.*, users.>  runs
hello  0.1.0    2026-01-01T00:00:00.000Z  abababababab  orders.*, users.>  failed: no component
hello  0.1.0    2026-01-01T00:00:00.000Z  abababababab  orders.*, users.>  runs; refused from the watched folder: E0005
";
        let failed = HandlerView { failed: Some("no component".to_owned()), ..hello() };
        let refused = HandlerView { refused: Some("E0005".to_owned()), ..hello() };
        assert_eq!(list(&[hello(), failed, refused]), expected);
    }

    #[test]
    fn a_handler_is_shown_whole() {
        let expected = "\
name              hello
version           0.1.0
component         sha256:abababababababababababababababababababababababababababababababab
world             hostel:handler/handler@0.1.0
deployed          2026-01-01T00:00:00.000Z
config keys       key, secret
secrets           TOKEN
denied            2 calls
reuse             50 events
memory            64MiB
deadline          5s
cpu time          200ms
log lines         100
log bytes         16KiB
published events  1000
published bytes   16MiB

PATTERN   QUEUE    CONCURRENCY  WINDOW  ATTEMPTS  BACKOFF  BACKOFF LIMIT  ORDER BY         QUARANTINE
orders.*  workers  16           10000   5         1s       1m             header:Customer  10 in 1m
users.>   -                                                               -
";
        assert_eq!(render(&hello()), expected);
    }

    #[test]
    fn subscriptions_are_listed_with_their_numbers() {
        let view = SubscriptionView {
            id: "default/hello:orders.*".to_owned(),
            handler: "hello".to_owned(),
            pattern: "orders.*".to_owned(),
            queue: None,
            waiting: 1,
            running: 2,
            sleeping: 3,
            delivered: 1000,
            acked: 990,
            retried: 7,
            dead_lettered: 1,
            expired: 4,
            pause: None,
            absent: false,
        };
        let pause = PauseView {
            by: PauseBy::Quarantine,
            since: "2026-01-01T00:00:00.000Z".to_owned(),
            reason: "10 faults".to_owned(),
        };
        let paused = SubscriptionView { pattern: "b".to_owned(), pause: Some(pause), ..view.clone() };
        let expected = "\
HANDLER  PATTERN   QUEUE  WAITING  RUNNING  SLEEPING  DELIVERED  ACKED  RETRIED  DEAD  EXPIRED  STATE
hello    orders.*  -            1        2         3       1000    990        7     1        4  running
hello    b         -            1        2         3       1000    990        7     1        4  quarantined since 2026-01-01T00:00:00.000Z because 10 faults
";
        assert_eq!(doing(&[view, paused]), expected);
    }
}
