//! The registries of both: go-micro's sees the host's subscriptions come and go, and the host's sees go-micro's.

use hostel_tests::gomicro::{Driver, Version};
use hostel_tests::{cli, each_go_micro};

use crate::alone::subscribers;
use crate::{change, deploy_hello, start, until_host_knows};

each_go_micro!(
    go_micro_sees_subscriptions_come_and_go,
    go_micro_sees_a_host_that_stops_go,
    a_host_lists_the_services_of_go_micro,
    a_host_forgets_a_subscriber_that_leaves,
);

async fn go_micro_sees_subscriptions_come_and_go(version: Version) {
    let mut watcher = Driver::start(version).await;
    watcher.watch().await;
    let host = start().await;
    for (handler, topic, queue, expected) in
        [("hello", "greetings.sent", None, Version::BROADCAST), ("hello-in-turn", "orders.created", Some("q"), "q")]
    {
        deploy_hello(&host, handler, topic, queue).await;
        let created = change(&mut watcher, "create", topic).await;
        assert_eq!(created.version, expected);
        let listeners = watcher.listeners(topic).await;
        let [(own, node)] = &listeners[..] else { panic!("one node: {listeners:?}") };
        assert_eq!((own.as_str(), node.address.clone()), (expected, host.ingress.to_string()));
        assert!(node.id.starts_with(&format!("{topic}-")), "{node:?}");
        let metadata = [("broker", "http"), ("secure", "false"), ("topic", topic)];
        for (key, value) in metadata {
            assert_eq!(node.metadata.get(key).map(String::as_str), Some(value), "{node:?}");
        }
    }
    let listed = watcher.services().await;
    assert!(listed.iter().any(|service| service.name == version.broker()), "{listed:?}");

    host.client.undeploy("hello").await.expect("undeployed");
    let deleted = change(&mut watcher, "delete", "greetings.sent").await;
    assert_eq!(deleted.version, Version::BROADCAST);
    assert!(watcher.listeners("greetings.sent").await.is_empty());
    assert_eq!(watcher.listeners("orders.created").await.len(), 1, "the other one stays");
}

async fn go_micro_sees_a_host_that_stops_go(version: Version) {
    let mut watcher = Driver::start(version).await;
    watcher.watch().await;
    let host = start().await;
    deploy_hello(&host, "hello", "greetings.sent", None).await;
    change(&mut watcher, "create", "greetings.sent").await;
    host.stop().await;
    change(&mut watcher, "delete", "greetings.sent").await;
    assert!(watcher.listeners("greetings.sent").await.is_empty());
}

async fn a_host_lists_the_services_of_go_micro(version: Version) {
    let [_subscriber] = subscribers(version, "orders.created", [Some("q")]).await;
    let host = start().await;
    until_host_knows(&host, version.broker(), "orders.created", 1).await;

    let listed = cli::run(&host, &["services", "--json"]).await;
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    assert!(listed.stdout.contains(version.broker()), "{}", listed.stdout);
    let one = cli::run(&host, &["services", version.broker(), "--json"]).await;
    assert_eq!(one.code, Some(0), "{}", one.stderr);
    assert!(one.stdout.contains("orders.created-") && one.stdout.contains("\"q\""), "{}", one.stdout);
}

async fn a_host_forgets_a_subscriber_that_leaves(version: Version) {
    let [subscriber] = subscribers(version, "orders.created", [None]).await;
    let host = start().await;
    until_host_knows(&host, version.broker(), "orders.created", 1).await;
    assert!(subscriber.quit().await.success());
    until_host_knows(&host, version.broker(), "orders.created", 0).await;
}
