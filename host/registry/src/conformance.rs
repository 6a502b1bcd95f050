//! What every registry must do, as plain async functions that each adapter's tests call.
//!
//! A check looks at a registry through two members of it, `here` and `there`: two processes of one network, two caches
//! of one registry, or twice the same where there is but one. What is done here is seen here at once and there soon.
//! What checks register begins with `svc.`; other services may be there, for a host is one itself.
//! Checks wait by tokio's clock, which an adapter without sockets may pause, and panic when the registry fails them.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "these are assertions, run by tests only"
)]

use std::sync::Arc;
use std::time::Duration;

use hostel_event::port::{
    Change, ChangeKind, Endpoint, Metadata, Node, Registry, RegistryError, Service, Value, Watch,
};

/// A registry with two members.
#[derive(Clone)]
pub struct Stage {
    /// Where things are done.
    pub here: Arc<dyn Registry>,
    /// Where else they are seen.
    pub there: Arc<dyn Registry>,
}

/// Longer than any check takes.
const LONG: Duration = Duration::from_secs(60);

/// What the services of checks begin with.
const OURS: &str = "svc.";

/// How long a check waits for something before it fails. Arbitrary, and long for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every check, each on a stage of its own.
pub async fn all(make: impl AsyncFn() -> Stage) {
    finds_what_is_registered(&make().await).await;
    groups_nodes_by_version(&make().await).await;
    carries_endpoints_and_metadata(&make().await).await;
    registering_again_changes_nothing(&make().await).await;
    takes_out_what_is_deregistered(&make().await).await;
    forgets_each_node_when_its_ttl_is_over(&make().await).await;
    keeps_what_is_registered_again_in_time(&make().await).await;
    lists_services(&make().await).await;
    refuses_what_cannot_be_known(&make().await).await;
    tells_watchers_what_comes_changes_and_goes(&make().await).await;
    tells_a_watcher_of_one_service_nothing_else(&make().await).await;
}

/// A service with one node, at an address that mDNS can carry as well.
#[must_use]
pub fn service(name: &str, version: &str, id: &str) -> Service {
    let metadata = Metadata::from([("broker".to_owned(), "http".to_owned())]);
    let node = Node { id: id.to_owned(), address: "127.0.0.1:4300".to_owned(), metadata };
    Service { name: name.to_owned(), version: version.to_owned(), nodes: vec![node], ..Service::default() }
}

/// Ids of a service's nodes with their versions, sorted; none if it is not found.
///
/// # Panics
/// If the registry fails otherwise.
pub async fn nodes(registry: &dyn Registry, name: &str) -> Vec<(String, String)> {
    let services = match registry.get(name).await {
        Ok(services) => services,
        Err(RegistryError::NotFound(_)) => return Vec::new(),
        Err(error) => panic!("cannot get `{name}`: {error}"),
    };
    assert!(services.iter().all(|service| service.name == name && !service.nodes.is_empty()), "{services:?}");
    let pairs = services.iter().flat_map(|service| service.nodes.iter().map(|node| (&service.version, &node.id)));
    let mut pairs: Vec<_> = pairs.map(|(version, id)| (version.clone(), id.clone())).collect();
    pairs.sort();
    pairs
}

/// Waits until a service has exactly these nodes, given as version and id, sorted.
///
/// # Panics
/// If it has others for too long.
pub async fn has(registry: &dyn Registry, name: &str, expected: &[(&str, &str)]) {
    let began = tokio::time::Instant::now();
    loop {
        let found = nodes(registry, name).await;
        if found.iter().map(|(version, id)| (version.as_str(), id.as_str())).eq(expected.iter().copied()) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "`{name}` has {found:?} and not {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn register(registry: &dyn Registry, service: &Service, ttl: Duration) {
    registry.register(service.clone(), ttl).await.expect("registers");
}

/// A registered service is found, by its whole name only.
pub async fn finds_what_is_registered(stage: &Stage) {
    assert_eq!(stage.here.get("svc.a").await, Err(RegistryError::NotFound("svc.a".to_owned())));
    let one = service("svc.a", "1", "a-1");
    register(&*stage.here, &one, LONG).await;
    assert_eq!(stage.here.get("svc.a").await, Ok(vec![one.clone()]));
    has(&*stage.there, "svc.a", &[("1", "a-1")]).await;
    assert_eq!(stage.there.get("svc.a").await, Ok(vec![one]));
    for other in ["svc", "svc.a.b", "SVC.A", "a"] {
        assert_eq!(stage.here.get(other).await, Err(RegistryError::NotFound(other.to_owned())));
    }
}

/// Nodes of one version stand together, versions apart.
pub async fn groups_nodes_by_version(stage: &Stage) {
    register(&*stage.here, &service("svc.v", "1", "a"), LONG).await;
    register(&*stage.here, &service("svc.v", "2", "b"), LONG).await;
    register(&*stage.there, &service("svc.v", "1", "c"), LONG).await;
    for registry in [&stage.here, &stage.there] {
        has(&**registry, "svc.v", &[("1", "a"), ("1", "c"), ("2", "b")]).await;
        assert_eq!(registry.get("svc.v").await.map(|services| services.len()), Ok(2));
    }
}

/// Endpoints and the metadata of nodes arrive as they were given.
pub async fn carries_endpoints_and_metadata(stage: &Stage) {
    let value = |name: &str, values| Value { name: name.to_owned(), kind: "Kind<&>".to_owned(), values };
    let endpoint = Endpoint {
        name: "Greeter.Hello".to_owned(),
        request: Some(value("Request", vec![value("name", Vec::new()), value("nested", vec![value("x", Vec::new())])])),
        response: None,
        metadata: Metadata::from([("stream".to_owned(), "false".to_owned())]),
    };
    let mut rich = service("svc.rich", "ff.http.broadcast", "orders.created-1");
    rich.endpoints = vec![endpoint, Endpoint { name: "Bare".to_owned(), ..Endpoint::default() }];
    let quoted = ("quoted \"<&>\u{2028}é".to_owned(), "a\\b\n".to_owned());
    rich.nodes.iter_mut().for_each(|node| _ = node.metadata.insert(quoted.0.clone(), quoted.1.clone()));
    register(&*stage.here, &rich, LONG).await;
    has(&*stage.there, "svc.rich", &[("ff.http.broadcast", "orders.created-1")]).await;
    assert_eq!(stage.there.get("svc.rich").await, Ok(vec![rich]));
}

/// A node registered again is still one node.
pub async fn registering_again_changes_nothing(stage: &Stage) {
    let one = service("svc.again", "1", "a");
    for _ in 0..3 {
        register(&*stage.here, &one, LONG).await;
    }
    assert_eq!(stage.here.get("svc.again").await, Ok(vec![one]));
}

/// Deregistered nodes are gone, others stay, and unknown ones are no error.
pub async fn takes_out_what_is_deregistered(stage: &Stage) {
    for id in ["a", "b"] {
        register(&*stage.here, &service("svc.gone", "1", id), LONG).await;
    }
    has(&*stage.there, "svc.gone", &[("1", "a"), ("1", "b")]).await;
    stage.here.deregister(service("svc.gone", "1", "a")).await.expect("deregisters");
    assert_eq!(stage.here.get("svc.gone").await, Ok(vec![service("svc.gone", "1", "b")]));
    has(&*stage.there, "svc.gone", &[("1", "b")]).await;
    for unknown in [service("svc.gone", "1", "never"), service("svc.never", "1", "b")] {
        stage.here.deregister(unknown).await.expect("deregisters what is not there");
    }
    stage.here.deregister(service("svc.gone", "1", "b")).await.expect("deregisters");
    assert_eq!(stage.here.get("svc.gone").await, Err(RegistryError::NotFound("svc.gone".to_owned())));
    has(&*stage.there, "svc.gone", &[]).await;
}

/// Each node goes when its own TTL is over.
pub async fn forgets_each_node_when_its_ttl_is_over(stage: &Stage) {
    register(&*stage.here, &service("svc.ttl", "1", "long"), LONG).await;
    register(&*stage.here, &service("svc.ttl", "1", "short"), Duration::from_secs(3)).await;
    has(&*stage.there, "svc.ttl", &[("1", "long"), ("1", "short")]).await;
    has(&*stage.there, "svc.ttl", &[("1", "long")]).await;
    has(&*stage.here, "svc.ttl", &[("1", "long")]).await;
}

/// A node stays as long as it is registered again.
pub async fn keeps_what_is_registered_again_in_time(stage: &Stage) {
    let ttl = Duration::from_secs(3);
    for _ in 0..2 {
        register(&*stage.here, &service("svc.stays", "1", "a"), ttl).await;
        tokio::time::sleep(ttl * 2 / 3).await;
    }
    assert_eq!(nodes(&*stage.here, "svc.stays").await, [("1".to_owned(), "a".to_owned())]);
}

/// The list names every service, once for each version at most.
pub async fn lists_services(stage: &Stage) {
    for name in ["svc.one", "svc.two"] {
        register(&*stage.here, &service(name, "1", "a"), LONG).await;
    }
    let began = tokio::time::Instant::now();
    loop {
        let mut names: Vec<String> =
            stage.there.list().await.expect("lists").into_iter().map(|service| service.name).collect();
        names.retain(|name| name.starts_with(OURS));
        names.sort();
        if names == ["svc.one", "svc.two"] {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What could not be known to anyone is refused, whole.
pub async fn refuses_what_cannot_be_known(stage: &Stage) {
    let good = service("svc.refused", "1", "a");
    let check = async |service: Service, ttl| {
        let refused = stage.here.register(service, ttl).await;
        assert!(matches!(refused, Err(RegistryError::Refused { .. })), "{refused:?}");
    };
    check(Service { nodes: Vec::new(), ..good.clone() }, LONG).await;
    check(Service { name: String::new(), ..good.clone() }, LONG).await;
    check(good.clone(), Duration::ZERO).await;
    let nowhere = Node { id: "b".to_owned(), ..Node::default() };
    let mut half_good = good.clone();
    half_good.nodes.push(nowhere);
    check(half_good, LONG).await;
    let mut huge = good.clone();
    huge.nodes.iter_mut().for_each(|node| _ = node.metadata.insert("huge".to_owned(), "x".repeat(100_000)));
    check(huge, LONG).await;
    assert_eq!(stage.here.get(&good.name).await, Err(RegistryError::NotFound(good.name)));
}

async fn next(watch: &mut Box<dyn Watch>) -> Change {
    loop {
        let change = tokio::time::timeout(PATIENCE, watch.next()).await;
        let change = change.expect("a change in time").expect("the watch goes on");
        if change.service.name.starts_with(OURS) {
            return change;
        }
    }
}

async fn expect(watch: &mut Box<dyn Watch>, kind: ChangeKind, service: &Service) {
    let change = next(watch).await;
    assert_eq!((change.kind, &change.service), (kind, service));
}

/// A watcher hears of a node once when it comes, when it changes, when it leaves and when its TTL is over.
pub async fn tells_watchers_what_comes_changes_and_goes(stage: &Stage) {
    let mut watch = stage.there.watch(None).await.expect("watches");
    let one = service("svc.watched", "1", "a");
    register(&*stage.here, &one, LONG).await;
    expect(&mut watch, ChangeKind::Create, &one).await;
    register(&*stage.here, &one, LONG).await;
    let mut moved = one;
    moved.nodes.iter_mut().for_each(|node| node.address = "127.0.0.1:4301".to_owned());
    register(&*stage.here, &moved, LONG).await;
    expect(&mut watch, ChangeKind::Update, &moved).await;
    stage.here.deregister(moved.clone()).await.expect("deregisters");
    expect(&mut watch, ChangeKind::Delete, &moved).await;
    let brief = service("svc.watched", "1", "b");
    register(&*stage.here, &brief, Duration::from_secs(2)).await;
    expect(&mut watch, ChangeKind::Create, &brief).await;
    expect(&mut watch, ChangeKind::Delete, &brief).await;
    assert_eq!(watch.lost(), 0);
}

/// A watcher of one service hears of that one only.
pub async fn tells_a_watcher_of_one_service_nothing_else(stage: &Stage) {
    let mut watch = stage.there.watch(Some("svc.mine")).await.expect("watches");
    register(&*stage.here, &service("svc.other", "1", "a"), LONG).await;
    let mine = service("svc.mine", "1", "a");
    register(&*stage.here, &mine, LONG).await;
    expect(&mut watch, ChangeKind::Create, &mine).await;
}
