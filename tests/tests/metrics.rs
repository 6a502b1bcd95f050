//! `/metrics`: what Prometheus would read, read as strictly as it does.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use hostel_api::client::{Client, Owner};
use hostel_api::tenant::TenantDocument;
use hostel_api::token::TokenRequest;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::raw::{exchange, request};
use hostel_tests::{repository, sample};

/// Every family: name, kind, labels, in the order of the page. Whoever changes it changes what somebody's dashboards and
/// alarms are made of, and `docs/observability.md`.
const FAMILIES: &str = "\
hostel_build_info gauge version
hostel_ready gauge
process_resident_memory_bytes gauge
process_cpu_seconds_total counter
process_start_time_seconds gauge
process_open_fds gauge
process_max_fds gauge
process_threads gauge
hostel_invocations_running gauge
hostel_invocations_capacity gauge
hostel_warm_instances gauge
hostel_component_loads_total counter code
hostel_broker_memory_bytes gauge
hostel_log_event_bytes gauge
hostel_log_disk_bytes gauge
hostel_disk_free_bytes gauge
hostel_log_full gauge
hostel_log_failed gauge
hostel_log_settled_total counter reason
hostel_logbook_lines gauge
hostel_logbook_bytes gauge
hostel_peers gauge state
hostel_peer_events gauge outcome
hostel_spans_total counter fate
hostel_events_published_total counter tenant
hostel_events_published_bytes_total counter tenant
hostel_events_refused_total counter tenant,reason
hostel_tenant_running gauge tenant
hostel_tenant_memory_bytes gauge tenant
hostel_tenant_throttled gauge tenant
hostel_deliveries_total counter tenant,handler,source,pattern,outcome
hostel_retries_total counter tenant,handler,source,pattern
hostel_deliveries_waiting gauge tenant,handler,source,pattern
hostel_deliveries_running gauge tenant,handler,source,pattern
hostel_deliveries_sleeping gauge tenant,handler,source,pattern
hostel_subscription_paused gauge tenant,handler,source,pattern,by
hostel_attempts_total counter tenant,handler,outcome
hostel_attempt_duration_seconds histogram tenant,handler
hostel_handler_cpu_seconds_total counter tenant,handler
hostel_handler_peak_memory_bytes gauge tenant,handler
hostel_handler_received_bytes_total counter tenant,handler
hostel_handler_sent_bytes_total counter tenant,handler
hostel_handler_calls_total counter tenant,handler
hostel_handler_log_lines_total counter tenant,handler,fate
";

/// The page, read.
#[derive(Debug, Default)]
struct Page {
    /// Kinds by name, in the order of the page.
    kinds: Vec<(String, String)>,
    /// Values by name and labels.
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Page {
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// The sum of a name's samples that have these labels among others.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |own: &BTreeMap<String, String>| {
            labels.iter().all(|(name, value)| own.get(*name).map(String::as_str) == Some(*value))
        };
        self.samples.iter().filter(|((own, of), _)| own == name && has(of)).map(|(_, value)| value).sum()
    }
}

/// Reads the text format 0.0.4: a family's HELP and TYPE come once and before its samples, its samples stand together,
/// no sample comes twice, a histogram's buckets count up and end with the count.
fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let mut family = String::new();
    assert!(text.ends_with('\n'), "the last line has its end");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a name and a text");
            assert!(!text.is_empty() && page.kinds.iter().all(|(known, _)| known != name), "{line}");
            name.clone_into(&mut family);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a kind");
            assert_eq!(name, family, "behind its HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            page.kinds.push((name.to_owned(), kind.to_owned()));
        } else {
            let (name, labels, value) = sample_of(line);
            let is_histogram = page.kinds.last().is_some_and(|(_, kind)| kind == "histogram");
            let suffixes: &[&str] = if is_histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
            let belongs = suffixes.iter().any(|suffix| name.strip_suffix(suffix) == Some(&family));
            assert!(belongs, "`{line}` stands under `{family}`");
            let old = page.samples.insert((name, labels), value);
            assert_eq!(old, None, "{line}");
        }
    }
    for (name, _) in page.kinds.iter().filter(|(_, kind)| kind == "histogram") {
        check_histogram(&page, name);
    }
    page
}

/// `name{label="value",…} value`.
fn sample_of(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect("a name has an end");
    let (name, mut rest) = line.split_at(end);
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"").expect("a label has a value");
            let mut value = String::new();
            let mut characters = behind.char_indices();
            let at = loop {
                match characters.next().expect("a value has an end") {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next().expect("something is escaped").1 {
                        'n' => value.push('\n'),
                        c @ ('"' | '\\') => value.push(c),
                        c => panic!("`\\{c}` in {line}"),
                    },
                    (_, c) => value.push(c),
                }
            };
            assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
            let (_, behind) = behind.split_at(at + 1);
            match (behind.strip_prefix(','), behind.strip_prefix('}')) {
                (Some(more), _) => rest = more,
                (None, Some(end)) => {
                    rest = end;
                    break;
                }
                (None, None) => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("a blank before the value");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

fn check_histogram(page: &Page, name: &str) {
    let bucket = format!("{name}_bucket");
    let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for ((own, labels), count) in page.samples.iter().filter(|((own, _), _)| *own == bucket) {
        let mut labels = labels.clone();
        let bound = labels.remove("le").unwrap_or_else(|| panic!("{own} without a bound"));
        series.entry(labels).or_default().push((bound.parse().expect("a number"), *count));
    }
    for (labels, mut buckets) in series {
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        assert!(buckets.is_sorted_by(|(_, one), (_, other)| one <= other), "{name} {labels:?} {buckets:?}");
        let (bound, all) = buckets.last().expect("there is one");
        assert!(bound.is_infinite(), "the last has no bound");
        assert_eq!(page.samples.get(&(format!("{name}_count"), labels.clone())), Some(all));
        assert!(page.samples.contains_key(&(format!("{name}_sum"), labels)));
    }
}

async fn scraped(client: &Client) -> Page {
    parse(&client.metrics().await.expect("told"))
}

#[tokio::test]
async fn the_page_has_every_family_with_its_labels_and_the_docs_have_it_too() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    host.publish_and_wait("scribe.do", "get notes a").await;
    let page = scraped(&host.client).await;
    let mut found = String::new();
    for (family, kind) in &page.kinds {
        let is_of = |name: &str| {
            let suffixes = ["_bucket", "_sum", "_count"].iter();
            name == family
                || (kind == "histogram" && suffixes.clone().any(|suffix| name.strip_suffix(suffix) == Some(family)))
        };
        let samples = page.samples.keys().filter(|(name, _)| is_of(name));
        let sets: Vec<BTreeSet<&str>> = samples
            .map(|(_, labels)| labels.keys().map(String::as_str).filter(|name| *name != "le").collect())
            .collect();
        let first = sets.first().unwrap_or_else(|| panic!("{family} has no sample on a host that has everything"));
        assert!(sets.iter().all(|set| set == first), "{family} has the same labels everywhere");
        let line = FAMILIES.lines().find(|line| line.split(' ').next() == Some(family)).unwrap_or_default();
        let expected = line.split(' ').nth(2).unwrap_or_default();
        let in_order: Vec<&str> = expected.split(',').filter(|name| !name.is_empty()).collect();
        assert_eq!(in_order.iter().copied().collect::<BTreeSet<_>>(), *first, "{family}");
        found.push_str(format!("{family} {kind} {expected}").trim_end());
        found.push('\n');
    }
    assert_eq!(found, FAMILIES);
    let docs = std::fs::read_to_string(repository().join("docs/observability.md")).expect("readable");
    for line in FAMILIES.lines() {
        let mut words = line.split(' ');
        let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let labels: Vec<String> = words
            .next()
            .unwrap_or_default()
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| format!("`{name}`"))
            .collect();
        let row = format!("| `{name}` | {kind} | {} |", labels.join(", "));
        assert!(docs.contains(&row), "docs/observability.md has no row that begins `{row}`");
    }
    let answer = exchange(host.admin, &request("GET", "/metrics", &[], b"")).await.expect("answered");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", answer.head);
}

#[tokio::test]
async fn what_happened_is_counted() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    for body in ["publish a", "reject", "trap", "retry", "get notes a"] {
        host.publish_and_wait("scribe.do", body).await;
    }
    let page = scraped(&host.client).await;
    let handler = [("tenant", "default"), ("handler", "scribe")];
    let attempts = |outcome| page.sum("hostel_attempts_total", &[("handler", "scribe"), ("outcome", outcome)]);
    // Two attempts each of what traps and what asks for another.
    assert_eq!(["ack", "reject", "trap", "retry", "deadline"].map(attempts), [2.0, 1.0, 2.0, 2.0, 0.0]);
    let ended = |outcome| page.sum("hostel_deliveries_total", &[("pattern", "scribe.do"), ("outcome", outcome)]);
    assert_eq!(["ack", "dead_letter", "expired", "conflict"].map(ended), [2.0, 3.0, 0.0, 0.0]);
    assert_eq!(page.sum("hostel_retries_total", &handler), 2.0);
    assert_eq!(page.value("hostel_attempt_duration_seconds_count", &handler), Some(7.0));
    assert!(page.value("hostel_attempt_duration_seconds_sum", &handler) > Some(0.0));
    assert!(page.value("hostel_handler_cpu_seconds_total", &handler) > Some(0.0));
    assert!(page.value("hostel_handler_peak_memory_bytes", &handler) >= Some(65_536.0));
    // Five from outside and one of the handler's.
    assert_eq!(page.value("hostel_events_published_total", &[("tenant", "default")]), Some(6.0));
    assert_eq!(page.value("hostel_ready", &[]), Some(1.0));
    assert!(
        page.value("hostel_log_event_bytes", &[]) > Some(0.0) && page.value("hostel_log_disk_bytes", &[]) > Some(0.0)
    );
    assert!(page.value("process_resident_memory_bytes", &[]) > Some(1e6), "as Linux tells it");
    let loads = |code| page.value("hostel_component_loads_total", &[("code", code)]).unwrap_or_default();
    assert!(loads("compiled") + loads("cache") >= 1.0);
}

#[tokio::test]
async fn a_subscription_that_is_paused_and_what_waits_for_it_are_seen() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), |_| ()).await;
    host.client.pause("scribe").await.expect("paused");
    host.client.publish(&publication("scribe.do", "get notes a")).await.expect("published");
    host.until(|one| one.waiting == 1).await;
    let page = scraped(&host.client).await;
    let paused = |by| page.sum("hostel_subscription_paused", &[("handler", "scribe"), ("by", by)]);
    assert_eq!((paused("operator"), paused("quarantine")), (1.0, 0.0));
    assert_eq!(page.sum("hostel_deliveries_waiting", &[("handler", "scribe")]), 1.0);
}

#[tokio::test]
async fn a_tenants_token_is_shown_what_is_the_tenants() {
    let mut host = Host::start_with("[access]\nrequire = 'token'\n").await;
    let first = host.operator_token();
    let operator = host.client_with("acme", &first);
    let request = |scopes: &[&str]| {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        TokenRequest { name: "test".to_owned(), scopes, ..TokenRequest::default() }
    };
    let mut members = Vec::new();
    for tenant in ["acme", "globex"] {
        let document = TenantDocument::from_toml("[quota]\nevents = 1", "tenant.toml").expect("good");
        operator.put_tenant(tenant, &document).await.expect("created");
        host.client = host.client_with(tenant, &first);
        let asked = request(&["read", "publish:>"]);
        let secret = host.client.create_token(Owner::Tenant, &asked).await.expect("made").secret;
        host.deploy(&sample("rust/scribe"), |_| ()).await;
        members.push(host.client_with(tenant, &secret));
    }
    for member in &members {
        member.publish_and_wait(&publication("scribe.do", "get notes a"), PATIENCE).await.expect("published");
    }
    // More than the quota lets in a second, until one is refused.
    let refused = async { while members[0].publish(&publication("x", "")).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("refused in time");
    let all = scraped(&operator).await;
    assert!(all.sum("hostel_events_refused_total", &[("tenant", "acme"), ("reason", "quota")]) >= 1.0);
    for (member, tenant) in members.iter().zip(["acme", "globex"]) {
        let page = scraped(member).await;
        assert!(page.sum("hostel_events_published_total", &[("tenant", tenant)]) >= 1.0);
        let foreign = page.samples.keys().find(|(_, labels)| labels.get("tenant").map(String::as_str) != Some(tenant));
        assert_eq!(foreign, None, "neither another tenant's nor the host's");
    }
    let asked = request(&["publish:>"]);
    let publisher = operator.create_token(Owner::Tenant, &asked).await.expect("made").secret;
    assert!(host.client_with("acme", &publisher).metrics().await.is_err(), "reading takes `read`");
}
