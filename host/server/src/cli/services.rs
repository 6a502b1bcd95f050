//! `hostel services`: who is there, as the host's registry knows it.

use hostel_api::client::{Client, Item};
use hostel_api::registry::{MetadataView, NodeView, ServiceChangeView, ServiceView, VersionsView};

use super::failure::Failure;
use super::{output, table, text};

/// The flags of `services`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show this service, whole
    name: Option<String>,
    /// Print JSON; of changes, a line for each
    #[arg(long, global = true)]
    json: bool,
}

/// What to do with services.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what comes, changes and goes
    Watch(WatchArguments),
}

/// The flags of `services watch`.
#[derive(Debug, clap::Args)]
struct WatchArguments {
    /// Of this service only
    name: Option<String>,
}

/// Lists the services, shows one, or watches them.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    match (&arguments.command, &arguments.name) {
        (Some(Command::Watch(_)), Some(name)) => {
            Err(Failure::Misuse(format!("`{name}` stands before `watch`; write `hostel services watch {name}`")))
        }
        (Some(Command::Watch(WatchArguments { name })), None) => watch(client, name.as_deref(), arguments.json).await,
        (None, Some(name)) => show(client, name, arguments.json).await,
        (None, None) => list(client, arguments.json).await,
    }
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let services = client.services().await?;
    if json {
        return output::json(&services);
    }
    if services.is_empty() {
        output::talk("no services; programs register themselves with the host's registry");
        return Ok(());
    }
    output::data(&nodes(&services))
}

async fn show(client: &Client, name: &str, json: bool) -> Result<(), Failure> {
    let versions = client.service(name).await?;
    if let Some(warning) = stale(&versions) {
        output::talk(&warning);
    }
    if json { output::json(&versions) } else { output::data(&render(&versions.items)) }
}

/// Prints changes for ever.
async fn watch(client: &Client, name: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut changes = client.watch_services(name).await?;
    match name {
        Some(name) => output::talk(&format!("watching `{}`", text::line(name))),
        None => output::talk("watching all services"),
    }
    while let Some(item) = changes.next().await {
        match item? {
            Item::Seen(change) if json => output::json_line(&change)?,
            Item::Seen(change) => output::data(&lines(&change))?,
            Item::Lost(count) => {
                let lost = text::counted(count, "change");
                output::talk(&format!("lost at least {lost}; `hostel services` shows who is there now"));
            }
        }
    }
    Err(Failure::plain("the host ended the stream"))
}

fn stale(versions: &VersionsView) -> Option<String> {
    let stale = versions.stale.as_ref()?;
    let (asked_at, reason) = (text::line(&stale.asked_at), text::line(&stale.reason));
    Some(format!("this may be out of date: the host asked its registry at {asked_at} and cannot now: {reason}"))
}

/// A row for each node, or one for a service whose nodes the registry leaves out of its list.
fn nodes(services: &[ServiceView]) -> String {
    let row = |service: &ServiceView, node: [String; 3]| {
        let [id, address, metadata] = node;
        [service.name.clone(), or_dash(&service.version), id, address, metadata]
    };
    let mut rows = Vec::new();
    for service in services {
        if service.nodes.is_empty() {
            rows.push(row(service, ["-".to_owned(), "-".to_owned(), String::new()]));
        }
        let nodes = service.nodes.iter();
        rows.extend(nodes.map(|node| row(service, [node.id.clone(), node.address.clone(), pairs(&node.metadata)])));
    }
    table::render(["SERVICE", "VERSION", "NODE", "ADDRESS", "METADATA"], &rows)
}

/// The nodes, and what the service says of itself where it says anything.
fn render(versions: &[ServiceView]) -> String {
    let mut whole = nodes(versions);
    let of_service = versions.iter().filter(|version| !version.metadata.is_empty());
    let rows: Vec<_> = of_service.map(|version| [or_dash(&version.version), pairs(&version.metadata)]).collect();
    if !rows.is_empty() {
        whole += &format!("\n{}", table::render(["VERSION", "METADATA OF ALL NODES"], &rows));
    }
    let endpoints = versions.iter().flat_map(|version| version.endpoints.iter().map(move |one| (version, one)));
    let rows: Vec<_> =
        endpoints.map(|(version, one)| [or_dash(&version.version), one.name.clone(), pairs(&one.metadata)]).collect();
    if !rows.is_empty() {
        whole += &format!("\n{}", table::render(["VERSION", "ENDPOINT", "METADATA"], &rows));
    }
    whole
}

/// A line for each node that a change concerns.
fn lines(change: &ServiceChangeView) -> String {
    let ServiceChangeView { action, service } = change;
    let line = |node: &NodeView| {
        let version = or_dash(&service.version);
        let rest =
            [&service.name, &version, &node.id, &node.address, &pairs(&node.metadata)].map(|part| text::line(part));
        format!("{} {}\n", action.as_str(), rest.join(" ").trim_end())
    };
    service.nodes.iter().map(line).collect()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn pairs(metadata: &MetadataView) -> String {
    let pairs: Vec<String> = metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use hostel_api::registry::{EndpointView, ServiceAction, StaleView};

    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> MetadataView {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn broker() -> ServiceView {
        let node = |id: &str, address: &str| NodeView {
            id: id.to_owned(),
            address: address.to_owned(),
            metadata: metadata(&[("topic", "orders.created"), ("broker", "http")]),
        };
        ServiceView {
            name: "micro.http.broker".to_owned(),
            version: "workers".to_owned(),
            nodes: vec![node("a-1", "127.0.0.1:4300"), node("b\n2", "[::1]:4300")],
            ..ServiceView::default()
        }
    }

    #[test]
    fn services_are_listed_node_by_node() {
        let bare = ServiceView { name: "greeter".to_owned(), ..ServiceView::default() };
        let expected = "\
SERVICE            VERSION  NODE  ADDRESS         METADATA
micro.http.broker  workers  a-1   127.0.0.1:4300  broker=http topic=orders.created
micro.http.broker  workers  b\\n2  [::1]:4300      broker=http topic=orders.created
greeter            -        -     -
";
        assert_eq!(nodes(&[broker(), bare]), expected);
    }

    #[test]
    fn a_service_is_shown_with_what_it_says_of_itself() {
        let endpoint = EndpointView {
            name: "Greeter.Hello".to_owned(),
            metadata: metadata(&[("a", "b")]),
            ..EndpointView::default()
        };
        let service = ServiceView {
            name: "greeter".to_owned(),
            version: "1".to_owned(),
            metadata: metadata(&[("team", "x")]),
            endpoints: vec![endpoint],
            nodes: vec![NodeView { id: "g".to_owned(), address: "a:1".to_owned(), ..NodeView::default() }],
        };
        let expected = "\
SERVICE  VERSION  NODE  ADDRESS  METADATA
greeter        1  g     a:1

VERSION  METADATA OF ALL NODES
      1  team=x

VERSION  ENDPOINT       METADATA
      1  Greeter.Hello  a=b
";
        assert_eq!(render(&[service]), expected);
    }

    #[test]
    fn a_change_is_a_line_for_each_node() {
        let change = ServiceChangeView { action: ServiceAction::Delete, service: broker() };
        let expected = "\
delete micro.http.broker workers a-1 127.0.0.1:4300 broker=http topic=orders.created
delete micro.http.broker workers b\\n2 [::1]:4300 broker=http topic=orders.created
";
        assert_eq!(lines(&change), expected);
    }

    #[test]
    fn what_may_be_out_of_date_says_so() {
        let stale = |stale| super::stale(&VersionsView { items: Vec::new(), stale });
        assert_eq!(stale(None), None);
        let view = StaleView { asked_at: "2026-01-01T00:00:00.000Z".to_owned(), reason: "it is away".to_owned() };
        let expected = "this may be out of date: the host asked its registry at 2026-01-01T00:00:00.000Z and cannot \
                        now: it is away";
        assert_eq!(stale(Some(view)).as_deref(), Some(expected));
    }
}
