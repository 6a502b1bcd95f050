//! The command line as a person and a script use it: data on stdout, talk on stderr, and exit codes that can be relied
//! on.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Stdio;

use hostel_api::view::{
    DeadLetterSummary, DeadLetterView, DeployedView, DiscardedView, EventView, HandlerView, LogLineView, Page,
    PublishedView, SettledView, SettlementOutcome, SubscriptionView,
};
use hostel_tests::cli::{Ran, hostel, run};
use hostel_tests::host::{Host, PATIENCE, publication};
use hostel_tests::{binary, repository, sample};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, Command};

/// Runs a command that must succeed; gives what it printed and what it said.
async fn done(host: &Host, arguments: &[&str]) -> (String, String) {
    let Ran { code, stdout, stderr } = run(host, arguments).await;
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

/// Runs a command that must fail.
async fn failed(host: &Host, arguments: &[&str], code: i32) -> (String, String) {
    let ran = run(host, arguments).await;
    assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
    (ran.stdout, ran.stderr)
}

/// Runs a command that must succeed and print one document of JSON and nothing else.
async fn json<T: DeserializeOwned>(host: &Host, arguments: &[&str]) -> T {
    let (stdout, _) = done(host, arguments).await;
    serde_json::from_str(&stdout).expect("one document of JSON")
}

/// Runs a command without a host and without its addresses in the environment.
async fn alone(arguments: &[&str]) -> Ran {
    let output = Command::new(binary()).env_clear().args(arguments).stdin(Stdio::null()).output().await.expect("runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

async fn next_line<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> String {
    tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("readable").expect("a line")
}

async fn exit_code(mut child: Child) -> Option<i32> {
    tokio::time::timeout(PATIENCE, child.wait()).await.expect("ends in time").expect("waited for").code()
}

fn guest(name: &str) -> String {
    repository().join("target/guests").join(name).to_string_lossy().into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

#[tokio::test]
async fn a_handler_is_deployed_looked_at_and_taken_away() {
    let host = Host::start().await;
    let (stdout, stderr) = done(&host, &["handlers"]).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", "no handlers; `hostel deploy` brings one\n"));
    let (stdout, stderr) = done(&host, &["subscriptions"]).await;
    assert_eq!((stdout.as_str(), stderr.starts_with("no subscriptions; ")), ("", true), "{stderr}");

    let manifest = sample("rust/hello");
    let (stdout, stderr) = done(&host, &["deploy", text(&manifest)]).await;
    assert_eq!(stdout, "");
    assert!(stderr.contains("\ndeployed `hello` 0.1.0 ("), "{stderr}");
    let (_, stderr) = done(&host, &["deploy", text(&manifest)]).await;
    assert!(stderr.starts_with("nothing changed: `hello` 0.1.0 ("), "{stderr}");
    let again: DeployedView = json(&host, &["deploy", text(&manifest), "--json"]).await;
    assert!(!again.changed);
    let other: DeployedView = json(&host, &["deploy", text(&manifest), "--json", "--version", "0.2.0"]).await;
    assert_eq!((other.changed, other.handler.version.as_str()), (true, "0.2.0"));

    // A bare component is named after its file.
    let flags =
        ["--topic", "students.*", "--topic", "pupils.>", "--queue", "q", "--memory", "32MiB", "--config", "a=b"];
    let component = guest("student_registrations.wasm");
    let (_, stderr) = done(&host, &[&["deploy", &component][..], &flags].concat()).await;
    assert!(stderr.contains("\ndeployed `student-registrations` 0.0.0 ("), "{stderr}");
    let view: HandlerView = json(&host, &["handlers", "student-registrations", "--json"]).await;
    let heard: Vec<_> = view.subscriptions.iter().map(|one| (one.pattern.as_str(), one.queue.as_deref())).collect();
    assert_eq!(heard, [("students.*", Some("q")), ("pupils.>", Some("q"))]);
    assert_eq!(view.config, ["a"], "the value is nobody's business");
    let (stdout, _) = done(&host, &["handlers", "student-registrations"]).await;
    assert!(stdout.lines().any(|line| line.split_whitespace().eq(["memory", "32MiB"])), "{stdout}");

    let (stdout, stderr) = done(&host, &["handlers"]).await;
    let lines: Vec<Vec<&str>> = stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "VERSION", "DEPLOYED", "COMPONENT", "HEARS", "STATE"]);
    assert_eq!((&lines[1][..2], lines[1][4]), (&["hello", "0.2.0"][..], "greetings.>"));
    assert_eq!(lines[2][0], "student-registrations");
    assert_eq!((lines.len(), stderr.as_str()), (3, ""));
    let views: Vec<HandlerView> = json(&host, &["handlers", "--json"]).await;
    assert_eq!(views.len(), 2);

    let (stdout, _) = done(&host, &["subscriptions"]).await;
    assert_eq!(stdout.lines().count(), 4, "{stdout}");
    let views: Vec<SubscriptionView> = json(&host, &["subscriptions", "--json"]).await;
    let mut ids: Vec<&str> = views.iter().map(|view| view.id.as_str()).collect();
    ids.sort_unstable();
    let expected = [
        "default/hello:greetings.>",
        "default/student-registrations:pupils.>",
        "default/student-registrations:students.*",
    ];
    assert_eq!(ids, expected);

    let (stdout, stderr) = done(&host, &["undeploy", "hello"]).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", "undeployed `hello`; discarded 0 waiting events\n"));
    let gone: DiscardedView = json(&host, &["undeploy", "student-registrations", "--json"]).await;
    assert_eq!(gone.discarded, 0);
    let (stdout, stderr) = failed(&host, &["undeploy", "hello"], 1).await;
    assert_eq!(stdout, "");
    assert!(stderr.starts_with("error[E0015]: no handler `hello`\nhint: "), "{stderr}");
}

#[tokio::test]
async fn a_message_comes_from_wherever_it_is() {
    let host = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, "from a file").unwrap();
    let mut events = host.client.tail("things.sent").await.unwrap();
    let mut seen = async || match events.next().await.expect("goes on").expect("readable") {
        hostel_api::client::Item::Seen(event) => event,
        hostel_api::client::Item::Lost(count) => unreachable!("lost {count}"),
    };

    let (stdout, stderr) = done(&host, &["publish", "things.sent", "given"]).await;
    let event = seen().await;
    assert_eq!((event.body.as_deref(), stdout), (Some("given"), format!("{}\n", event.id)));
    assert_eq!(stderr, "nobody hears `things.sent`: `hostel subscriptions` lists who hears what\n");

    done(&host, &["publish", "things.sent"]).await;
    assert_eq!(seen().await.body.as_deref(), Some(""));
    done(&host, &["publish", "things.sent", "--file", text(&file)]).await;
    assert_eq!(seen().await.body.as_deref(), Some("from a file"));

    let mut child = hostel(&host).args(["publish", "things.sent", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from \xff a pipe\n").await.unwrap();
    assert_eq!(exit_code(child).await, Some(0));
    assert_eq!(seen().await.body_base64.as_deref(), Some("ZnJvbSD/IGEgcGlwZQo="));

    let flags = ["-H", "Content-Type: text/x-a", "--header", "x-a:  b ", "--id", "e-1", "--json"];
    let view: PublishedView = json(&host, &[&["publish", "things.sent", "with headers"][..], &flags].concat()).await;
    let event = seen().await;
    assert_eq!((view.id.as_str(), event.id.as_str()), ("e-1", "e-1"));
    let headers = [("Content-Type", "text/x-a"), ("X-A", "b")];
    assert_eq!(event.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn waiting_tells_how_it_went() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    host.deploy(&sample("rust/hostile"), |_| ()).await;
    let (stdout, stderr) = done(&host, &["publish", "greetings.sent", "hi", "--wait", "--id", "e-1"]).await;
    let expected = "e-1  settled\n  default/hello:greetings.>  ack, 1 attempt\n    info  hello: hello, event e-1 on \
                    greetings.sent, attempt 1, with 2 bytes\n";
    assert_eq!((stdout.as_str(), stderr.as_str()), (expected, ""));

    let (stdout, stderr) = failed(&host, &["publish", "hostile.do", "reject", "--wait", "--id", "e-2"], 1).await;
    let expected = "e-2  settled\n  default/hostile:hostile.do  dead letter, 1 attempt: rejected on demand\n";
    assert_eq!((stdout.as_str(), stderr.as_str()), (expected, ""));

    let flags = ["--wait", "--timeout", "100ms", "--json"];
    let (stdout, _) = failed(&host, &[&["publish", "hostile.do", "sleep:900"][..], &flags].concat(), 1).await;
    let view: SettledView = serde_json::from_str(&stdout).unwrap();
    assert_eq!((view.settled, view.subscriptions[0].outcome), (false, SettlementOutcome::Pending));
}

#[tokio::test]
async fn each_line_of_a_file_is_an_event() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    // An empty line in the middle, and no end of line at the end.
    let lines: Vec<String> = (0..500).map(|number| format!("{{\"number\":{number}}}")).collect();
    std::fs::write(&file, format!("{}\n\n{}", lines[..250].join("\n"), lines[250..].join("\r\n"))).unwrap();

    let (stdout, stderr) = done(&host, &["publish", "greetings.sent", "--lines", text(&file), "--wait"]).await;
    assert_eq!(stdout, "");
    assert!(stderr.starts_with("published 500 events in "), "{stderr}");
    assert!(stderr.ends_with(", 500 handled, 0 not\n"), "{stderr}");
    let subscriptions = host.client.subscriptions().await.unwrap();
    assert_eq!((subscriptions[0].acked, subscriptions[0].delivered), (500, 500));

    let (stdout, _) = done(&host, &["publish", "greetings.sent", "--lines", text(&file), "--json"]).await;
    let ids: std::collections::BTreeSet<String> =
        stdout.lines().map(|line| serde_json::from_str::<PublishedView>(line).expect("a line of JSON").id).collect();
    assert_eq!(ids.len(), 500);

    let arguments = ["publish", "nobody.hears", "--lines", "-"];
    let mut child = hostel(&host).args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo\n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.starts_with("published 2 events in "), "{stderr}");
}

#[tokio::test]
async fn events_are_watched_as_they_come() {
    let host = Host::start().await;
    let watch = |flags: &[&str]| {
        let mut child = hostel(&host).args(["tail", "things.>"]).args(flags).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        (child, BufReader::new(stdout).lines(), BufReader::new(stderr).lines())
    };
    let (lines_child, mut lines, mut said) = watch(&["--count", "2"]);
    let (json_child, mut json, mut json_said) = watch(&["-n", "1", "--json"]);
    for said in [&mut said, &mut json_said] {
        assert_eq!(next_line(said).await, "listening for `things.>`");
    }
    for (topic, body) in [("other.sent", "no"), ("things.sent", "one\ntwo"), ("things.sent.far", "three")] {
        let publication = hostel_api::client::Publication {
            id: Some(format!("e-{body}").replace('\n', " ")),
            ..publication(topic, body)
        };
        host.client.publish(&publication).await.unwrap();
    }
    assert!(next_line(&mut lines).await.ends_with("Z things.sent e-one two  one\\ntwo"));
    assert!(next_line(&mut lines).await.ends_with("Z things.sent.far e-three  three"));
    let event: EventView = serde_json::from_str(&next_line(&mut json).await).unwrap();
    assert_eq!(event.body.as_deref(), Some("one\ntwo"));
    assert_eq!((exit_code(lines_child).await, exit_code(json_child).await), (Some(0), Some(0)));
}

#[tokio::test]
async fn logs_are_read_and_followed() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    host.deploy(&sample("rust/hostile"), |_| ()).await;
    assert_eq!(done(&host, &["logs"]).await.0, "");
    for _ in 0..3 {
        host.publish_and_wait("greetings.sent", "hi").await;
    }
    host.publish_and_wait("hostile.do", "talk").await;
    let (stdout, stderr) = done(&host, &["logs", "hello", "-n", "2"]).await;
    assert_eq!((stdout.lines().count(), stderr.as_str()), (2, ""));
    assert!(stdout.lines().all(|line| line.ends_with("attempt 1, with 2 bytes")), "{stdout}");
    let (stdout, _) = done(&host, &["logs", "--json"]).await;
    let lines: Vec<LogLineView> = stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|line| line.source == "stderr" && line.text == "a line on stderr"), "{stdout}");
    assert_eq!(lines.iter().filter(|line| line.handler == "hello").count(), 3);

    let mut child = hostel(&host).args(["logs", "hello", "--follow", "--limit", "1"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(next_line(&mut lines).await.ends_with("with 2 bytes"));
    host.publish_and_wait("hostile.do", "talk").await;
    host.publish_and_wait("greetings.sent", "hello").await;
    assert!(next_line(&mut lines).await.ends_with("with 5 bytes"));
    child.kill().await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_seen_and_sent_on_their_way_again() {
    let host = Host::start().await;
    let (stdout, stderr) = done(&host, &["dead-letters", "list"]).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", "no dead letters\n"));
    let hostile = guest("hostile.wasm");
    let flags = ["--topic", "jobs.*", "--name", "worker", "--attempts", "1"];
    done(&host, &[&["deploy", &hostile][..], &flags].concat()).await;
    for behaviour in ["retry", "reject", "trap"] {
        failed(&host, &["publish", "jobs.do", behaviour, "--id", behaviour, "--wait"], 1).await;
    }

    let (stdout, _) = done(&host, &["dead-letters", "list"]).await;
    let events: Vec<_> = stdout.lines().skip(1).filter(|line| line.contains("jobs.do")).collect();
    assert_eq!(events.len(), 3, "{stdout}");
    let page: Page<DeadLetterSummary> = json(&host, &["dead-letters", "list", "--json", "-n", "2"]).await;
    let newest: Vec<&str> = page.items.iter().map(|letter| letter.event.as_str()).collect();
    assert_eq!(newest, ["trap", "reject"]);
    let next = page.next.expect("there is one more");
    let page: Page<DeadLetterSummary> = json(&host, &["dead-letters", "list", "--json", "--before", &next]).await;
    let [oldest] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!((oldest.event.as_str(), oldest.attempts, page.next), ("retry", 1, None));

    let letter: DeadLetterView = json(&host, &["dead-letters", "show", &oldest.id, "--json"]).await;
    assert_eq!((letter.event.body.as_deref(), letter.attempts[0].outcome.as_str()), (Some("retry"), "retry"));
    let (stdout, _) = done(&host, &["dead-letters", "show", &oldest.id]).await;
    assert!(stdout.contains("retried on demand"), "{stdout}");
    let (_, stderr) = failed(&host, &["dead-letters", "show", "nope"], 1).await;
    assert!(stderr.starts_with("error[E0015]: no dead letter `nope`\nhint: "), "{stderr}");

    // What is not repaired dies again.
    done(&host, &["dead-letters", "redrive", &oldest.id]).await;
    settled(&host, 4, 0).await;
    assert_eq!(json::<Page<DeadLetterSummary>>(&host, &["dead-letters", "list", "--json"]).await.items.len(), 3);

    // The repair: another component under the same name.
    let hello = guest("hello.wasm");
    done(&host, &[&["deploy", &hello][..], &flags, &["--version", "2"]].concat()).await;
    let page: Page<DeadLetterSummary> = json(&host, &["dead-letters", "list", "--json"]).await;
    let (stdout, stderr) = done(&host, &["dead-letters", "redrive", &page.items[0].id, "--json"]).await;
    let redriven: DeadLetterSummary = serde_json::from_str(&stdout).unwrap();
    assert_eq!((redriven.id.as_str(), stderr.as_str()), (page.items[0].id.as_str(), "redrove 1 dead letter\n"));
    let (stdout, stderr) = failed(&host, &["dead-letters", "redrive", &redriven.id, &page.items[1].id], 1).await;
    assert_eq!(stdout, "");
    assert!(stderr.starts_with(&format!("error[E0015]: no dead letter `{}`\n", redriven.id)), "{stderr}");
    assert!(stderr.ends_with("redrove 1 dead letter; 1 could not be redriven and are kept\n"), "{stderr}");
    let (stdout, stderr) = done(&host, &["dead-letters", "redrive", "--all"]).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", "redrove 1 dead letter\n"));
    settled(&host, 4, 3).await;
    let (_, stderr) = done(&host, &["dead-letters", "list"]).await;
    assert_eq!(stderr, "no dead letters\n");
    let (stdout, _) = done(&host, &["logs", "worker"]).await;
    assert!(stdout.contains("hello, event trap on jobs.do, attempt 1, with 4 bytes"), "{stdout}");
}

/// Waits until the one subscription has given up and acknowledged so many since it began.
async fn settled(host: &Host, dead_lettered: u64, acked: u64) {
    let wait = async {
        loop {
            let subscriptions = host.client.subscriptions().await.expect("listed");
            let settled = |one: &SubscriptionView| one.dead_lettered == dead_lettered && one.acked == acked;
            if subscriptions.iter().all(settled) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("settled in time");
}

#[tokio::test]
async fn what_goes_wrong_shows_in_the_exit_code() {
    let host = Host::start().await;
    let check = async |arguments: &[&str], code: i32, begins: &str| {
        let (stdout, stderr) = failed(&host, arguments, code).await;
        assert_eq!(stdout, "", "{arguments:?}");
        // How far it came is said before.
        assert!(stderr.starts_with(begins) || stderr.contains(&format!("\n{begins}")), "{arguments:?}: {stderr}");
    };
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        text(&path).to_owned()
    };
    // 1: asked for properly, and not done.
    let text_file = written("text.wasm", "fn main() {}");
    check(&["deploy", &text_file, "--topic", "a"], 1, "error[E0001]: not a WebAssembly file: ").await;
    let typo = written("typo.toml", "name = 'a'\nversoin = '1'\n");
    let begins = format!("error[E0012]: `{typo}` line 2: unknown key `versoin`; did you mean `version`?\nhint: ");
    check(&["deploy", &typo], 1, &begins).await;
    check(&["deploy", "nowhere.wasm", "--topic", "a"], 1, "error[E0037]: cannot read `nowhere.wasm`: ").await;
    check(&["publish", "a", "--file", "nowhere"], 1, "error[E0037]: cannot read `nowhere`: ").await;
    check(&["publish", "a..b", "x"], 1, "error[E0010]: topic `a..b` has an empty token at byte 2\nhint: ").await;
    check(&["tail", "a*"], 1, "error[E0011]: token `a*` of pattern `a*` is neither ").await;
    check(&["handlers", "nobody"], 1, "error[E0015]: no handler `nobody`\nhint: ").await;
    check(&["handlers", "--tenant", "Acme"], 1, "error[E0015]: there is no such tenant\nhint: ").await;
    // 2: asked for what makes no sense.
    check(&["deploy", &guest("hello.wasm")], 2, "error: `hello` would hear nothing; say what with `--topic ").await;
    check(&["publish"], 2, "error: the following required arguments were not provided:\n").await;
    check(&["publish", "a", "b", "-H", "no colon"], 2, "error: invalid value 'no colon' for '--header ").await;
    check(&["publish", "a", "b", "-H", "Host: x"], 2, "error: header `Host` belongs to the request ").await;
    check(&["publish", "a", "b", "--wait", "--timeout", "5"], 2, "error: invalid value '5' for '--timeout ").await;
    check(&["handlers", "--jsno"], 2, "error: unexpected argument '--jsno' found\n").await;
    check(&["handlers", "--admin-url", "nowhere"], 2, "error: `nowhere` is not the base URL of a host: ").await;
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let host = Host::start().await;
    let mut child = hostel(&host).args(["tail", ">"]).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(next_line(&mut said).await, "listening for `>`");
    host.client.publish(&publication("things.sent", "first")).await.unwrap();
    assert!(next_line(&mut lines).await.ends_with("  first"));
    drop(lines);
    host.client.publish(&publication("things.sent", "second")).await.unwrap();
    assert_eq!(exit_code(child).await, Some(0));
    let rest = tokio::time::timeout(PATIENCE, said.next_line()).await.unwrap().unwrap();
    assert_eq!(rest, None, "it had nothing to complain of");

    // Whoever reads along has no say in whether the rest is published.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    std::fs::write(&file, "one\n".repeat(200)).unwrap();
    let arguments = ["publish", "things.sent", "--json", "--lines", text(&file)];
    let mut child = hostel(&host).args(arguments).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.starts_with("published 200 events in "), "{stderr}");
}

#[tokio::test]
async fn without_a_host_it_says_so() {
    // Bound, so that nobody else takes it, and never listened on.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    for (flag, arguments) in [
        ("--admin-url", &["handlers"][..]),
        ("--admin-url", &["deploy", &guest("hello.wasm"), "--topic", "a"]),
        ("--ingress-url", &["publish", "a", "b"]),
        ("--ingress-url", &["tail", "a"]),
    ] {
        let ran = alone(&[arguments, &[flag, &url]].concat()).await;
        let stderr = format!(
            "error[E0036]: no host answers at {url}: Connection refused (os error 111)\nhint: is `hostel serve` \
             running?\nmore: hostel explain E0036\n"
        );
        assert_eq!(ran, Ran { code: Some(1), stdout: String::new(), stderr }, "{arguments:?}");
    }
}

#[tokio::test]
async fn some_things_need_no_host() {
    let ran = alone(&["explain", "E0036"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.starts_with("# E0036: no host answers at the address\n\n## What\n"), "{}", ran.stdout);
    let ran = alone(&["explain"]).await;
    assert_eq!(ran.stdout.lines().count(), hostel_api::problem::Code::ALL.len() + 1);
    let ran = alone(&["explain", "E9999"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert_eq!(ran.stderr, "error: `E9999` is not an error code of this version; `hostel explain` lists all\n");

    let ran = alone(&["completions", "bash"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    for word in ["_hostel()", "dead-letters", "redrive", "--admin-url"] {
        assert!(ran.stdout.contains(word), "{word}");
    }
    let ran = alone(&[]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: hostel"), "{}", ran.stderr);
    let ran = alone(&["--version"]).await;
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("hostel {}\n", env!("CARGO_PKG_VERSION"))));
}
