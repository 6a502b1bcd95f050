//! Events that are kept are delivered again on demand, and to a subscription that begins in the past; and many dead
//! letters are redriven or dropped with one request.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::time::Instant;

use hostel_api::client::{ClientError, DeadLetterQuery, Publication, ReplayQuery};
use hostel_api::manifest::{Manifest, Subscription};
use hostel_api::problem::Problem;
use hostel_tests::cli::run;
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::sample;

const ID: &str = "default/scribe:scribe.do";

/// What the scribe has counted under `n`.
async fn counted(host: &Host) -> String {
    let settled = host.publish_and_wait("scribe.do", "increment notes n 0").await;
    settled.subscriptions[0].log[0].text.clone()
}

/// Publishes events that count one each; gives their ids.
async fn publish(host: &Host, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let published = host.client.publish(&publication("scribe.do", "increment notes n 1")).await.expect("published");
        ids.push(published.id);
    }
    ids
}

fn one_by_one(manifest: &mut Manifest) {
    // Writers of one key that do not conflict.
    manifest.subscriptions[0].concurrency = std::num::NonZeroU32::new(1);
}

async fn until_over(host: &Host) {
    let deadline = Instant::now() + PATIENCE;
    while !host.client.replays().await.expect("listed").is_empty() {
        assert!(Instant::now() < deadline, "the replay does not end");
    }
}

fn problem<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Problem {
    match answer {
        Err(ClientError::Problem { problem, .. }) => *problem,
        other => unreachable!("a problem is expected: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_kept_is_delivered_again_from_where_it_is_asked_for() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), one_by_one).await;
    let ids = publish(&host, 10).await;
    host.until(|one| one.acked == 10).await;

    // From an event on; the command waits until it is over.
    let ran = run(&host, &["replay", "scribe", "--from", &ids[7]]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with(&format!("replaying to `{ID}`, offsets ")), "{ran:?}");
    assert!(ran.stderr.ends_with("done\n"), "{ran:?}");
    assert_eq!(host.until(|one| one.acked >= 13).await.acked, 13);
    // Up to an event, which is no part of it.
    let ran = run(&host, &["replay", ID, "--from", "earliest", "--to", &ids[2], "--json"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let begun: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(begun[0]["subscription"], ID, "{ran:?}");
    assert_eq!(counted(&host).await, "15");
    // From a time on: all of it, the question before among them.
    let ran = run(&host, &["replay", "scribe", "--from", "1h"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(counted(&host).await, "25");

    // By an id of its publisher's.
    let given = Publication { id: Some("o-1".to_owned()), ..publication("scribe.do", "increment notes n 100") };
    host.client.publish(&given).await.expect("published");
    let ran = run(&host, &["replay", "scribe", "--from", "o-1", "--no-wait"]).await;
    assert!(ran.stderr.ends_with("it goes on by itself; `hostel replay --list` shows how far it is\n"), "{ran:?}");
    until_over(&host).await;
    assert_eq!(counted(&host).await, "225");
}

#[tokio::test]
async fn a_replay_is_listed_goes_on_after_a_crash_and_is_ended() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), one_by_one).await;
    publish(&host, 20).await;
    host.until(|one| one.acked == 20).await;
    let slow = ReplayQuery { from: "earliest".to_owned(), to: None, rate: Some(1) };
    host.client.replay("scribe", &slow).await.expect("begun");
    let again = problem(host.client.replay(ID, &slow).await);
    assert_eq!((again.status, again.code.as_str()), (409, "E0042"), "{again:?}");

    let host = Host::start_in(host.kill().await, "").await;
    let listed = run(&host, &["replay", "--list"]).await;
    assert!(listed.stdout.starts_with("SUBSCRIPTION "), "{listed:?}");
    assert!(listed.stdout.contains(ID), "{listed:?}");
    let of_handler = host.client.replays_of("scribe").await.expect("listed");
    assert_eq!(of_handler.len(), 1, "{of_handler:?}");
    let ended = run(&host, &["replay", "scribe", "--end"]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), format!("ended the replay to `{ID}`\n").as_str()));
    until_over(&host).await;
    let none = run(&host, &["replay", "scribe", "--end"]).await;
    assert!(none.code == Some(1) && none.stderr.contains("nothing is replayed to `scribe`"), "{none:?}");
    let listed = run(&host, &["replay", "--list"]).await;
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), "no replays are under way\n"));
}

#[tokio::test]
async fn a_replay_that_makes_no_sense_is_refused_with_the_cure() {
    let host = Host::start().await;
    host.deploy(&sample("rust/scribe"), one_by_one).await;
    let refused = async |arguments: &[&str]| {
        let ran = run(&host, arguments).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        ran.stderr
    };
    let said = refused(&["replay", "nobody", "--from", "earliest"]).await;
    assert!(said.starts_with("error[E0015]: no subscription or handler `nobody`\n"), "{said}");
    let said = refused(&["replay", "scribe", "--from", "yesterday"]).await;
    assert!(said.starts_with("error[E0015]: no event `yesterday` is found that the subscription hears\n"), "{said}");
    assert!(said.contains("how long ago such as `1h`"), "{said}");
    let said = refused(&["replay", "scribe", "--from", "01890a5d-ac96-774b-bcce-b302099a8057"]).await;
    assert!(said.contains("its id was made at 2023-06-"), "{said}");
    let said = refused(&["replay", "scribe", "--from", "1h", "--to", "2h"]).await;
    assert!(said.starts_with("error[E0022]: parameter `to` lies before `from`\n"), "{said}");

    let host = Host::start_with("broker = { use = 'memory' }").await;
    host.deploy(&sample("rust/scribe"), one_by_one).await;
    let earliest = ReplayQuery { from: "earliest".to_owned(), ..ReplayQuery::default() };
    let refused = problem(host.client.replay("scribe", &earliest).await);
    assert_eq!((refused.status, refused.code.as_str()), (422, "E0043"), "{refused:?}");
}

/// Another handler, which begins somewhere.
fn late(start: &str) -> impl FnOnce(&mut Manifest) {
    move |manifest| {
        "late".clone_into(&mut manifest.name);
        manifest.subscriptions = vec![Subscription {
            pattern: "work.*".to_owned(),
            start: Some(start.to_owned()),
            ..Subscription::default()
        }];
        one_by_one(manifest);
    }
}

#[tokio::test]
async fn a_new_subscription_begins_where_its_manifest_says_and_a_new_version_does_not_start_over() {
    let host = Host::start().await;
    let count = publication("work.do", "increment notes n 1");
    for _ in 0..30 {
        host.client.publish(&count).await.expect("published");
    }
    // Published on while it begins.
    let publishing = {
        let client = host.client.clone();
        let count = count.clone();
        tokio::spawn(async move {
            for _ in 0..70 {
                client.publish(&count).await.expect("published");
            }
        })
    };
    let view = host.deploy(&sample("rust/scribe"), late("earliest")).await;
    assert_eq!(view.subscriptions[0].start.as_deref(), Some("earliest"));
    publishing.await.expect("published");
    until_over(&host).await;
    let total = async |host: &Host| {
        host.until(|one| one.waiting + one.running + one.sleeping == 0).await;
        host.publish_and_wait("work.look", "increment notes n 0").await.subscriptions[0].log[0].text.clone()
    };
    assert_eq!(total(&host).await, "100");

    host.deploy(&sample("rust/scribe"), |manifest| {
        late("earliest")(manifest);
        "2.0.0".clone_into(&mut manifest.version);
    })
    .await;
    let host = Host::start_in(host.kill().await, "").await;
    assert!(host.client.replays().await.expect("listed").is_empty());
    assert_eq!(total(&host).await, "100");

    // A subscription that ended and comes again is new.
    host.client.undeploy("late").await.expect("undeployed");
    let ran = run(&host, &["replay", "late", "--from", "earliest"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    host.deploy(&sample("rust/scribe"), late("earliest")).await;
    until_over(&host).await;
    assert_eq!(total(&host).await, "200");
}

#[tokio::test]
async fn a_start_that_cannot_be_is_refused_and_nothing_is_deployed() {
    let host = Host::start_with("broker = { use = 'memory' }").await;
    let text = std::fs::read_to_string(sample("rust/scribe")).expect("a manifest");
    let mut manifest = Manifest::from_toml(&text, "handler.toml").expect("a good manifest");
    manifest.component = format!("sha256:{}", "00".repeat(32));
    late("earliest")(&mut manifest);
    let refused = problem(host.client.deploy(&manifest).await);
    assert_eq!((refused.status, refused.code.as_str()), (422, "E0043"), "{refused:?}");
    manifest.subscriptions[0].start = Some("2999-01-01T00:00:00Z".to_owned());
    let refused = problem(host.client.deploy(&manifest).await);
    assert!(refused.detail.contains("`subscriptions[0].start` lies in the future"), "{refused:?}");
    assert!(host.client.handlers().await.expect("listed").is_empty());
}

#[tokio::test]
async fn many_dead_letters_are_redriven_or_dropped_with_few_requests() {
    many_dead_letters("").await;
}

#[tokio::test]
async fn many_dead_letters_in_memory_are_redriven_or_dropped_with_few_requests() {
    many_dead_letters("broker = { use = 'memory' }").await;
}

async fn many_dead_letters(config: &str) {
    const LETTERS: u64 = 600;
    let host = Host::start_with(config).await;
    host.deploy(&sample("rust/scribe"), |manifest| {
        manifest.subscriptions[0].retry.attempts = std::num::NonZeroU32::new(1);
    })
    .await;
    for _ in 0..LETTERS {
        host.client.publish(&publication("scribe.do", "reject")).await.expect("published");
    }
    host.publish_and_wait("scribe.do", "trap").await;
    host.until(|one| one.dead_lettered > LETTERS).await;
    let all = DeadLetterQuery::default();
    let trapped = DeadLetterQuery { reason: Some("trap".to_owned()), ..DeadLetterQuery::default() };

    // Each dies again at once, and none is redriven twice.
    let (mut redriven, mut requests, mut cursor) = (0, 0, None);
    loop {
        let batch = host
            .client
            .redrive_batch(&DeadLetterQuery { reason: Some("on demand".to_owned()), ..all.clone() }, cursor.as_deref())
            .await;
        let batch = batch.expect("redriven");
        assert!(batch.failed.is_empty(), "{batch:?}");
        (redriven, requests) = (redriven + batch.done.len(), requests + 1);
        match batch.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!((redriven, requests), (600, 3));
    host.until(|one| one.dead_lettered == 2 * LETTERS + 1).await;

    let nothing = problem(host.client.drop_batch(&trapped, Some("nonsense")).await);
    assert_eq!(nothing.code, "E0022", "{nothing:?}");
    let ran = run(&host, &["dead-letters", "drop", "--reason", "On Demand"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "dropped 600 dead letters\n"));
    let left = host.client.dead_letters(10, None).await.expect("listed").items;
    assert_eq!(left.len(), 1, "{left:?}");
    let ran = run(&host, &["dead-letters", "redrive", "--all", "--json"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "redrove 1 dead letter\n"), "{ran:?}");
    assert!(ran.stdout.contains(&left[0].id), "{ran:?}");
}
