//! Bad input is refused with a code and a cure, and nobody else is disturbed.
//!
//! One table for each surface: what is asked, and the status, the code and the very words of the answer. While they are
//! gone through, a well-behaved handler of the same host is sent events all the time, and must handle each.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test that cannot go on has failed"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hostel_api::problem::{Code, Problem};
use hostel_api::view::SettlementOutcome;
use hostel_tests::cli::{Ran, run};
use hostel_tests::host::{Host, PATIENCE, digest, publication};
use hostel_tests::raw::{Answer, exchange, request};
use hostel_tests::{binary, repository, sample};
use tokio::process::Command;

/// How soon `hostel serve` must have given up. A second or so on an idle machine.
const SOON: Duration = Duration::from_secs(15);
const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
/// The path of the tenant that every host has.
const DEFAULT: &str = "/v1/tenants/default";

/// What a refusal says.
type Expected<'a> = (u16, &'a str, &'a str);

#[tokio::test]
async fn what_is_refused_disturbs_nobody() {
    let host = Host::start().await;
    host.deploy(&sample("rust/hello"), |_| ()).await;
    let handled = beside(&host, async {
        components(&host).await;
        large_components(&host).await;
        manifests(&host).await;
        admin_paths(&host).await;
        ingress_paths(&host).await;
        wrong_methods(&host).await;
        queries(&host).await;
    });
    assert!(handled.await > 0, "no event went by meanwhile");
    let names: Vec<String> = host.client.handlers().await.unwrap().into_iter().map(|handler| handler.name).collect();
    assert_eq!(names, ["hello"], "nothing of what was refused was kept");
}

/// Sends a well-behaved handler one event after another until `work` is done; says how many it handled.
async fn beside(host: &Host, work: impl Future<Output = ()>) -> usize {
    let (client, stop) = (host.client.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let events = tokio::spawn(async move {
        let mut handled = 0;
        while !stopped.load(Ordering::Acquire) {
            let settled = client.publish_and_wait(&publication("greetings.sent", "hi"), PATIENCE).await;
            let settled = settled.expect("published");
            assert_eq!(settled.subscriptions[0].outcome, SettlementOutcome::Ack, "{settled:?}");
            handled += 1;
        }
        handled
    });
    work.await;
    stop.store(true, Ordering::Release);
    events.await.expect("every event was handled")
}

/// Asks, and compares the answer with what it should be.
async fn check(address: SocketAddr, asked: &[u8], expected: Expected<'_>) -> Answer {
    let line = String::from_utf8_lossy(asked).lines().next().unwrap_or_default().to_owned();
    let answer = exchange(address, asked).await.unwrap_or_else(|| panic!("{line}: no answer"));
    let problem: Problem =
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{line}: {error}: {answer:?}"));
    assert_eq!((problem.status, problem.code.as_str(), problem.detail.as_str()), expected, "{line}");
    assert_eq!(answer.status, problem.status, "{line}");
    assert!(answer.head.contains("content-type: application/problem+json"), "{line}: {}", answer.head);
    assert_eq!(problem.kind, format!("urn:hostel:error:{}", problem.code), "{line}");
    assert!(!problem.hint.is_empty() && !problem.title.is_empty(), "{line}: {problem:?}");
    answer
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("good WAT")
}

fn exporting(name: &str) -> Vec<u8> {
    wat(&format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#))
}

async fn components(host: &Host) {
    let check = async |bytes: &[u8], expected: Expected<'_>| {
        let path = format!("{DEFAULT}/components/{}", digest(bytes));
        check(host.admin, &request("PUT", &path, &[("Content-Type", "application/wasm")], bytes), expected).await;
    };
    let lacks = "component does not export `hostel:handler/subscriber@0.1.0`";
    check(b"", (422, "E0001", "not a WebAssembly file: it is empty")).await;
    let text = "not a WebAssembly file: it begins with \"fn main() {}\\n\"";
    check(b"fn main() {}\n", (422, "E0001", text)).await;
    let text = "a core module and not a component; build for the target `wasm32-wasip2`, or wrap it with `wasm-tools \
                component new`";
    check(&wat("(module)"), (422, "E0002", text)).await;
    check(&wat("(component)"), (422, "E0003", &format!("{lacks}; it exports nothing"))).await;
    let text = format!(
        "{lacks}; it exports `wasi:cli/run@0.2.0`, so it looks like a command, which has a `main` and handles no events"
    );
    check(&exporting("wasi:cli/run@0.2.0"), (422, "E0003", &text)).await;
    let text = "component does not export `wasi:http/incoming-handler@0.2.12`; what it exports by that name has no \
                function `handle`";
    check(&exporting("wasi:http/incoming-handler@0.2.0"), (422, "E0003", text)).await;
    check(&exporting("acme:shop/till@1.0.0"), (422, "E0003", &format!("{lacks}; it exports `acme:shop/till@1.0.0`")))
        .await;
    let text = format!("{lacks}; what it exports by that name has no function `handle`");
    check(&exporting("hostel:handler/subscriber@0.1.0"), (422, "E0003", &text)).await;
    let text = "component exports `hostel:handler/subscriber@0.2.0`, which is not compatible with this host's \
                `hostel:handler/subscriber@0.1.0`; build it against the version of the contract that this host has";
    check(&exporting("hostel:handler/subscriber@0.2.0"), (422, "E0004", text)).await;
    let importing = wat(r#"(component
        (import "wasi:keyvalue/batch@0.2.0-draft" (instance))
        (import "wasi:cli/stdout@0.3.0" (instance))
        (instance $i) (export "hostel:handler/subscriber@0.1.0" (instance $i)))"#);
    let text = "component imports what this host does not offer: `wasi:keyvalue/batch@0.2.0-draft`, \
                `wasi:cli/stdout@0.3.0` (this host has version 0.2.12)";
    check(&importing, (422, "E0007", text)).await;
    cut_components(host).await;
}

async fn cut_components(host: &Host) {
    let whole = std::fs::read(repository().join("target/guests/hello.wasm")).expect("`cargo xtask guests` builds it");
    let half = &whole[..whole.len() / 2];
    let path = format!("{DEFAULT}/components/{}", digest(half));
    let answer = exchange(host.admin, &request("PUT", &path, &[], half)).await.expect("an answer");
    let problem: Problem = serde_json::from_str(&answer.body).expect("a problem");
    assert_eq!((problem.status, problem.code.as_str()), (422, "E0005"));
    // Where the last whole section ends is up to the compiler.
    let says = problem.detail.starts_with("component is damaged at byte ")
        && problem.detail.ends_with(&format!(" of {}: unexpected end-of-file", half.len()));
    assert!(says, "{}", problem.detail);
    let path = format!("{DEFAULT}/components/{ZEROS}");
    let text = format!("the component's SHA-256 is {}, not {}", &digest(half)[7..], &ZEROS[7..]);
    check(host.admin, &request("PUT", &path, &[], half), (422, "E0021", &text)).await;
}

/// 200 MB are refused before they are sent, and without being held in memory.
async fn large_components(host: &Host) {
    let head = format!(
        "PUT {DEFAULT}/components/{ZEROS} HTTP/1.1\r\nHost: hostel\r\nContent-Length: 209715200\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    let text = "the component has more than 67108864 bytes, the host's `admin.component_limit`";
    let answer = check(host.admin, head.as_bytes(), (413, "E0006", text)).await;
    assert!(answer.head.contains("connection: close"), "{}", answer.head);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("huge.wasm");
    std::fs::File::create(&file).and_then(|file| file.set_len(209_715_200)).expect("a sparse file");
    let ran = run(host, &["deploy", &file.to_string_lossy(), "--topic", "a"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    // The host hangs up in the middle: whether its words still arrive is up to the kernel.
    assert!(ran.stderr.contains("\nerror[E0006]: ") && ran.stderr.contains("\nhint: "), "{ran:?}");
}

async fn manifests(host: &Host) {
    let check = async |name: &str, body: &str, expected: Expected<'_>| {
        let path = format!("{DEFAULT}/handlers/{name}");
        check(host.admin, &request("PUT", &path, &[("Content-Type", "application/json")], body.as_bytes()), expected)
            .await;
    };
    let whole = |key: &str, value: &str| {
        let mut manifest = serde_json::json!({"name": "a", "component": ZEROS, "subscriptions": [{"pattern": "a"}]});
        manifest[key] = serde_json::from_str(value).expect("good JSON");
        manifest.to_string()
    };
    check("a", "", (400, "E0012", "line 1: EOF while parsing a value")).await;
    check("a", "{\n\"name\": \"a\",\n", (400, "E0012", "line 3: EOF while parsing a value")).await;
    check("a", "not json", (400, "E0012", "line 1: expected ident")).await;
    check("a", "{\"nmae\": \"a\"}", (400, "E0012", "line 1: unknown key `nmae`; did you mean `name`?")).await;
    check("a", "{\"name\": \"a\"}", (400, "E0012", "key `component` is missing")).await;
    check("a", &format!("{{\"component\": \"{ZEROS}\"}}"), (400, "E0012", "key `name` is missing")).await;
    check("b", &whole("version", "\"1\""), (400, "E0012", "`name` is `a`, but the path says `b`")).await;
    let text = "line 1: key `limits.deadline`: `5` is not a duration; write a number and a unit, such as `250ms`, \
                `5s` or `1m 30s`";
    check("a", &whole("limits", r#"{"deadline": "5"}"#), (400, "E0012", text)).await;
    let text = "line 1: unknown key `memry` in `limits`; did you mean `memory`?";
    check("a", &whole("limits", r#"{"memry": "1MiB"}"#), (400, "E0012", text)).await;
    let text = "`component`: `hello.wasm` is not a SHA-256 digest of 64 hexadecimal digits";
    check("a", &whole("component", "\"hello.wasm\""), (400, "E0012", text)).await;
    let text = "`subscriptions` is empty: the handler would never be called; add `[[subscriptions]]` with a `pattern`";
    check("a", &whole("subscriptions", "[]"), (400, "E0012", text)).await;
    let text = "`subscriptions[0].pattern`: pattern `a..b` has an empty token";
    check("a", &whole("subscriptions", r#"[{"pattern": "a..b"}]"#), (400, "E0011", text)).await;
    let text = "`version`: version `1 2` has ' ' at byte 1; allowed are A-Z, a-z, 0-9, ., _ and -";
    check("a", &whole("version", "\"1 2\""), (400, "E0011", text)).await;
    let text = "`name`: handler name `Ä` has 'Ä' at byte 0; allowed are a-z, 0-9 and, after the first, -";
    check("%C3%84", &whole("name", "\"Ä\""), (400, "E0011", text)).await;
    check("a", &whole("version", "\"1\""), (404, "E0015", &format!("no component `{ZEROS}`; upload it first"))).await;
    let padding = " ".repeat(1024 * 1024 + 1);
    check("a", &padding, (413, "E0016", "the manifest has more than 1048576 bytes")).await;
}

async fn admin_paths(host: &Host) {
    let check = async |method: &str, path: &str, expected: Expected<'_>| {
        check(host.admin, &request(method, path, &[], b""), expected).await;
    };
    let nothing = async |path: &str| {
        check("GET", path, (404, "E0014", &format!("there is nothing at `{path}`"))).await;
    };
    nothing("/").await;
    nothing("/topics/a").await;
    nothing("/v1/tenants/default/handler").await;
    nothing("/v1/tenants/default/handlers/../../x").await;

    let handler = |name: &str| format!("{DEFAULT}/handlers/{name}");
    let component = |digest: &str| format!("{DEFAULT}/components/{digest}");
    // What cannot be there is answered like what is not.
    let missing = async |method: &str, path: &str, text: &str| check(method, path, (404, "E0015", text)).await;
    missing("GET", &handler("nobody"), "no handler `nobody`").await;
    missing("DELETE", &handler("nobody"), "no handler `nobody`").await;
    for name in ["", "Acme", "..%2f..%2fetc", "%ff", &"a".repeat(64), "acme"] {
        missing("GET", &format!("/v1/tenants/{name}/handlers/hello"), "there is no such tenant").await;
    }
    nothing("/v1/tenants/default/handlers/%ff").await;
    missing("GET", &handler("..%2fhello"), "no handler `../hello`").await;
    missing("GET", &handler("h%00"), "no handler `h\0`").await;
    missing("GET", &handler("%C3%A9"), "no handler `é`").await;
    let long = "a".repeat(5000);
    missing("GET", &handler(&long), &format!("no handler `{long}`")).await;
    missing("GET", &component("..%2f..%2fhello"), "no component `../../hello`; upload it first").await;
    missing("GET", &component(ZEROS), &format!("no component `{ZEROS}`; upload it first")).await;
    missing("GET", &format!("{DEFAULT}/dead-letters/nope"), "no dead letter `nope`").await;
    missing("GET", &format!("{DEFAULT}/dead-letters/..%2fx"), "no dead letter `../x`").await;
    missing("POST", &format!("{DEFAULT}/dead-letters/nope/redrive"), "no dead letter `nope`").await;
}

async fn ingress_paths(host: &Host) {
    let nothing = async |path: &str| {
        let text = format!("there is nothing at `{path}`");
        check(host.ingress, &request("POST", path, &[], b"x"), (404, "E0014", &text)).await;
    };
    nothing("/topics").await;
    nothing("/topics/").await;
    nothing("/topics/a/b").await;
    nothing("/topics/../a").await;
    nothing("/topics/%ff").await;

    let topic = async |path: &str, text: &str| {
        let path = format!("/topics/{path}");
        check(host.ingress, &request("POST", &path, &[], b"x"), (400, "E0010", text)).await;
    };
    let rest = "allowed are A-Z, a-z, 0-9, ., _ and -";
    topic("a..b", "topic `a..b` has an empty token at byte 2").await;
    topic("a.", "topic `a.` has an empty token at byte 2").await;
    topic("..%2f..%2fetc", "topic `../../etc` has an empty token at byte 0").await;
    topic("a%20b", &format!("topic `a b` has ' ' at byte 1; {rest}")).await;
    topic("orders.*", &format!("topic `orders.*` has '*' at byte 7; {rest}")).await;
    topic("%C3%A9", &format!("topic `é` has 'é' at byte 0; {rest}")).await;
    topic(&"a".repeat(256), "topic has 256 bytes, more than 255").await;

    let pattern = async |path: &str, text: &str| {
        let path = format!("/topics/{path}/events");
        check(host.ingress, &request("GET", &path, &[], b""), (400, "E0011", text)).await;
    };
    pattern("", "pattern is empty").await;
    pattern("%3E.a", "pattern `>.a` has `>` before its end; `>` may only be the last token").await;
    pattern("a*", "token `a*` of pattern `a*` is neither a name nor a whole `*` or `>`").await;
    pattern("a..b", "pattern `a..b` has an empty token").await;

    let headers = async |header: (&str, &str), text: &str| {
        check(host.ingress, &request("POST", "/topics/a", &[header], b"x"), (400, "E0017", text)).await;
    };
    headers(("Hostel-Id", ""), "event id is empty").await;
    headers(("Hostel-Id", &"a".repeat(256)), "event id has 256 bytes, more than 255").await;
    let latin = [&b"POST /topics/a HTTP/1.1\r\nHost: h\r\nX-Name: J"[..], b"\xfcrgen\r\nConnection: close\r\n\r\n"];
    check(host.ingress, &latin.concat(), (400, "E0017", "the value of header `x-name` is not UTF-8")).await;
}

async fn wrong_methods(host: &Host) {
    let admin = async |method: &str, path: &str, allow: &str| {
        let text = format!("`{path}` does not take {method}");
        let answer = check(host.admin, &request(method, path, &[], b""), (405, "E0013", &text)).await;
        assert!(answer.head.contains(&format!("allow: {allow}")), "{method} {path}: {}", answer.head);
    };
    admin("POST", "/healthz", "get,head").await;
    admin("OPTIONS", "/readyz", "get,head").await;
    admin("POST", &format!("{DEFAULT}/handlers"), "get,head").await;
    admin("PATCH", &format!("{DEFAULT}/handlers/hello"), "put,get,head,delete").await;
    admin("DELETE", &format!("{DEFAULT}/components/{ZEROS}"), "put,get,head").await;
    admin("PUT", &format!("{DEFAULT}/dead-letters/x"), "get,head,delete").await;
    admin("GET", &format!("{DEFAULT}/dead-letters/x/redrive"), "post").await;

    let ingress = async |method: &str, path: &str, allow: &str| {
        let text = format!("`{path}` does not take {method}, only {allow}");
        let answer = check(host.ingress, &request(method, path, &[], b""), (405, "E0013", &text)).await;
        assert!(answer.head.contains(&format!("allow: {}", allow.to_lowercase())), "{method} {path}: {}", answer.head);
    };
    ingress("GET", "/topics/a", "POST").await;
    ingress("BREW", "/topics/a", "POST").await;
    ingress("POST", "/topics/a/events", "GET").await;
}

async fn queries(host: &Host) {
    let get = async |path: &str, text: &str| {
        let path = format!("{DEFAULT}/{path}");
        check(host.admin, &request("GET", &path, &[], b""), (400, "E0022", text)).await;
    };
    get("dead-letters?limt=1", "unknown parameter `limt`; did you mean `limit`?").await;
    get(
        "dead-letters?colour=red",
        "unknown parameter `colour`; known are `limit`, `before`, `handler`, `subscription`, `topic`, `reason`, \
         `since` and `until`",
    )
    .await;
    get("dead-letters?limit=ten", "parameter `limit`: not a whole number").await;
    get("dead-letters?limit=-1", "parameter `limit`: not a whole number").await;
    get("dead-letters?limit=1&limit=2", "parameter `limit` stands there twice").await;
    get("logs?folow=true", "unknown parameter `folow`; did you mean `follow`?").await;
    get("logs?follow=maybe", "parameter `follow`: provided string was not `true` or `false`").await;
    get("handlers?limit=1", "unknown parameter `limit`; none is taken here").await;
    get("handlers/hello?limit=1", "unknown parameter `limit`; none is taken here").await;
    get("subscriptions?limit=1", "unknown parameter `limit`; none is taken here").await;

    let post = async |query: &str, text: &str| {
        let path = format!("/topics/a?{query}");
        check(host.ingress, &request("POST", &path, &[], b"x"), (400, "E0022", text)).await;
    };
    let duration = "is not a duration; write a number and a unit, such as `250ms`, `5s` or `1m 30s`";
    post("wiat=settled", "unknown parameter `wiat`; did you mean `wait`?").await;
    post("wait=acked", "parameter `wait`: unknown variant `acked`, expected `settled`").await;
    post("wait=settled&timeout=5", &format!("parameter `timeout`: `5` {duration}")).await;
    post("wait=settled&timeout=-1s", &format!("parameter `timeout`: `-1s` {duration}")).await;
    post("wait=settled&timeout=", &format!("parameter `timeout`: `` {duration}")).await;
    post("timeout=5s", "parameter `timeout` has no effect without `wait=settled`").await;
    let tail = request("GET", "/topics/a/events?count=1", &[], b"");
    check(host.ingress, &tail, (400, "E0022", "unknown parameter `count`; known is only `format`")).await;
}

/// `hostel serve` in a folder of its own, to its end, which must come soon.
async fn serve(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(binary());
    command.env_clear().envs(environment.iter().copied()).current_dir(folder).arg("serve").args(arguments);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the command starts");
    let output = tokio::time::timeout(SOON, child.wait_with_output()).await.expect("it gives up soon").expect("it ran");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Mistakes as they are printed, one after another.
fn told(mistakes: &[(Code, &str)]) -> String {
    let one = |(code, text): &(Code, &str)| {
        format!("error[{code}]: {text}\nhint: {}\nmore: hostel explain {code}\n", code.hint())
    };
    mistakes.iter().map(one).collect()
}

/// What the harness gives every host.
const PORTS: [&str; 4] = ["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

#[tokio::test]
async fn a_mistake_in_the_config_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |config: &str, environment: &[(&str, &str)], mistakes: &[(Code, &str)]| {
        std::fs::write(folder.path().join("hostel.toml"), config).unwrap();
        let ran = serve(folder.path(), &["--config", "hostel.toml"], environment).await;
        assert_eq!(ran, Ran { code: Some(2), stdout: String::new(), stderr: told(mistakes) }, "{config}");
    };
    let (unknown, value) = (Code::UnknownConfigKey, Code::BadConfigValue);
    check(
        "data_dri = 'x'",
        &[],
        &[(unknown, "`hostel.toml` line 1: unknown key `data_dri`; did you mean `data_dir`?")],
    )
    .await;
    let text = "`hostel.toml` line 2: unknown key `lisen` in `ingress`; did you mean `listen`?";
    check("[ingress]\nlisen = 1", &[], &[(unknown, text)]).await;
    let text = "`hostel.toml` line 2: key `ingress.head_timeout`: invalid type: integer `5`, expected a duration with \
                its unit, such as \"5s\"";
    check("[ingress]\nhead_timeout = 5", &[], &[(value, text)]).await;
    check("\n[ingress\n", &[], &[(value, "`hostel.toml` line 2: unclosed table, expected `]`")]).await;
    let both = [(value, "`runtime.invocations` must be at least 1"), (value, "`admin.connections` must be at least 1")];
    check("[runtime]\ninvocations = 0\n[admin]\nconnections = 0", &[], &both).await;
    let text = "`ingress.tenant`: tenant `A` has 'A' at byte 0; allowed are a-z, 0-9 and, after the first, -";
    check("[ingress]\ntenant = 'A'", &[], &[(value, text)]).await;
    let text = "unknown variable `HOSTEL_INGRES_LISTEN` in the environment; did you mean `HOSTEL_INGRESS_LISTEN`?";
    check("", &[("HOSTEL_INGRES_LISTEN", "127.0.0.1:0")], &[(unknown, text)]).await;
    let remote = "which others can reach, and this host asks nobody who they are; listen on 127.0.0.1, set \
                  `access.require = \"token\"` and TLS, or say `--allow-remote`";
    let text = format!("`admin.listen` is 0.0.0.0:0, {remote}");
    check("[admin]\nlisten = '0.0.0.0:0'", &[], &[(Code::RemoteRefused, &text)]).await;
    assert!(!folder.path().join(".hostel").exists(), "nothing was made before the config was found good");
}

#[tokio::test]
async fn a_bad_value_in_the_environment_is_blamed_on_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let ran = serve(folder.path(), &PORTS, &[("HOSTEL_INGRESS_CONNECTIONS", "many")]).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.starts_with("error[E0031]: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("HOSTEL_INGRESS_CONNECTIONS"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
}

#[tokio::test]
async fn a_config_file_that_cannot_be_read_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |file: &str, why: &str| {
        let ran = serve(folder.path(), &["--config", file], &[]).await;
        let stderr = told(&[(Code::ConfigUnreadable, &format!("cannot read `{file}`: {why}"))]);
        assert_eq!(ran, Ran { code: Some(2), stdout: String::new(), stderr });
    };
    check("nowhere.toml", "No such file or directory (os error 2)").await;
    check(".", "Is a directory (os error 21)").await;
}

#[tokio::test]
async fn what_the_machine_refuses_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "not a folder").unwrap();
    let check = async |arguments: &[&str], code: Code, text: &str| {
        let ran = serve(folder.path(), arguments, &[]).await;
        assert_eq!(ran, Ran { code: Some(1), stdout: String::new(), stderr: told(&[(code, text)]) });
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = format!("cannot listen on {address}: Address already in use (os error 98)");
    check(&["--ingress", &address, "--admin", "127.0.0.1:0"], Code::AddressInUse, &text).await;
    check(&["--ingress", "127.0.0.1:0", "--admin", &address], Code::AddressInUse, &text).await;
    // Root may write anywhere but below a file.
    let data = |folder: &'static str| [&PORTS[..], &["--data-dir", folder]].concat();
    let text = "cannot write to the data directory `file/data`: Not a directory (os error 20)";
    check(&data("file/data"), Code::DataDirectoryUnusable, text).await;
    let text = "cannot write to the data directory `file`: File exists (os error 17)";
    check(&data("file"), Code::DataDirectoryUnusable, text).await;
}

#[tokio::test]
async fn a_handler_of_the_config_that_is_no_good_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |config: &str, expected: (Code, &str)| {
        std::fs::write(folder.path().join("hostel.toml"), config).unwrap();
        let arguments = [&PORTS[..], &["--config", "hostel.toml", "--log", "off"]].concat();
        let ran = serve(folder.path(), &arguments, &[]).await;
        assert_eq!(ran, Ran { code: Some(1), stdout: String::new(), stderr: told(&[expected]) }, "{config}");
    };
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("text.wasm", "fn main() {}");
    write("text.toml", "name = 'a'\ncomponent = 'text.wasm'\nsubscriptions = [{ pattern = 'a' }]");
    write("lost.toml", "name = 'a'\ncomponent = 'lost.wasm'\nsubscriptions = [{ pattern = 'a' }]");
    write("typo.toml", "nmae = 'a'\n");
    let missing = "No such file or directory (os error 2)";
    check("handlers = ['no.toml']", (Code::FileUnreadable, &format!("cannot read `no.toml`: {missing}"))).await;
    check("handlers = ['lost.toml']", (Code::FileUnreadable, &format!("cannot read `lost.wasm`: {missing}"))).await;
    let text = "`typo.toml` line 1: unknown key `nmae`; did you mean `name`?";
    check("handlers = ['typo.toml']", (Code::MalformedDocument, text)).await;
    let text = "cannot deploy `text.toml`: not a WebAssembly file: it begins with \"fn main() {}\"";
    check("handlers = ['text.toml']", (Code::NotWasm, text)).await;
}
