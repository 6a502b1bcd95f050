//! Byte for byte against what go-micro v1.18, v2.9.1 and v6.10 were seen to send and answer, in
//! `tests/fixtures/gomicro/http-*.txt`.

use crate::http::wire::decode::{Inbound, Request, decode};
use crate::http::wire::refusal::Refusal;
use crate::http::wire::tests::{event, fixture};
use crate::http::wire::{Generation, encode};

/// What was posted: request line and body of each request.
fn posted(name: &str) -> Vec<(String, String)> {
    let text = fixture(name).replace("\r\n", "\n");
    let requests = text.split("POST ").skip(1);
    let requests: Vec<_> = requests
        .map(|request| {
            let (head, rest) = request.split_once("\n\n").unwrap();
            (format!("POST {}", head.lines().next().unwrap()), rest.lines().next().unwrap().to_owned())
        })
        .collect();
    assert_eq!(requests.len(), 2, "{name}");
    requests
}

#[test]
fn what_is_posted_is_what_go_micro_posts_but_for_our_two_headers() {
    let check = |file: &str, generation: Generation, topic: &str, with_ours: &str| {
        for (count, (line, body)) in posted(file).into_iter().enumerate() {
            let node_id = line.split_once("id=").unwrap().1.split(' ').next().unwrap();
            assert_eq!(format!("POST {} HTTP/1.1", encode::target(generation, node_id)), line);

            let given = [("id", "7"), ("X-Quote", r#"a"<b>&é"#)];
            let event = event("go.micro.topic.foo", &given, format!("hello {count}").as_bytes());
            assert!(body.contains(topic), "{body}");
            assert_eq!(encode::body(&event, generation), body.replace(topic, with_ours));
        }
    };
    let first = r#"":topic":"go.micro.topic.foo","#;
    let first_with_ours =
        r#"":topic":"go.micro.topic.foo","Hostel-Id":"e1","Micro-Id":"e1","Micro-Topic":"go.micro.topic.foo","#;
    check("http-publish.v1.txt", Generation::First, first, first_with_ours);
    let second = r#""Micro-Topic":"go.micro.topic.foo","#;
    let second_with_ours = r#""Hostel-Id":"e1","Micro-Id":"e1","Micro-Topic":"go.micro.topic.foo","#;
    check("http-publish.v2.txt", Generation::Second, second, second_with_ours);
    check("http-publish.v6.txt", Generation::Second, second, second_with_ours);
}

#[test]
fn what_go_micro_posts_is_read() {
    for (file, generation) in [
        ("http-publish.v1.txt", Generation::First),
        ("http-publish.v2.txt", Generation::Second),
        ("http-publish.v6.txt", Generation::Second),
    ] {
        for (count, (line, body)) in posted(file).into_iter().enumerate() {
            let (path, query) = line.split(' ').nth(1).unwrap().split_once('?').unwrap();
            let request = Request { path, query: Some(query), content_type: None, body: body.as_bytes() };
            let inbound = decode(&request).unwrap();
            assert_eq!(inbound.generation, generation);
            assert!(inbound.node_id.starts_with("go.micro.topic.foo-00000000-0000-4000-8000-0000000"));
            assert_eq!(inbound.topic.unwrap().as_str(), "go.micro.topic.foo");
            assert_eq!(inbound.message.body, format!("hello {count}"));
            let mut headers = vec![("X-Quote", r#"a"<b>&é"#), ("id", "7")];
            if generation == Generation::Second {
                headers.insert(0, ("Micro-Topic", "go.micro.topic.foo"));
            }
            assert_eq!(inbound.message.headers.iter().collect::<Vec<_>>(), headers);
        }
    }
}

/// A request that a subscriber was given, and its answer.
struct Probe {
    title: String,
    request: Vec<u8>,
    answer: Vec<u8>,
}

fn probes(name: &str) -> Vec<Probe> {
    let text = fixture(name);
    let sections = text.split("## ").skip(1).map(|section| {
        let mut lines = section.lines();
        let title = lines.next().unwrap().to_owned();
        let mut next = |mark: &str| literal(lines.next().unwrap().strip_prefix(mark).unwrap());
        Probe { title, request: next("> "), answer: next("< ") }
    });
    sections.collect()
}

/// The bytes of a Python literal.
fn literal(text: &str) -> Vec<u8> {
    let mut chars = text.strip_prefix("b'").unwrap().strip_suffix('\'').unwrap().chars();
    let mut bytes = Vec::new();
    while let Some(c) = chars.next() {
        let c = if c == '\\' {
            chars.next().unwrap()
        } else {
            bytes.extend(c.to_string().bytes());
            continue;
        };
        bytes.push(match c {
            'r' => b'\r',
            'n' => b'\n',
            'x' => u8::from_str_radix(&[chars.next().unwrap(), chars.next().unwrap()].iter().collect::<String>(), 16)
                .unwrap(),
            other => u8::try_from(other).unwrap(),
        });
    }
    bytes
}

/// Head and body of a message; none if it was not recorded whole, or is framed otherwise than by its length.
fn parts(message: &[u8]) -> Option<(String, Vec<u8>)> {
    let at = message.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(message[..at].to_vec()).unwrap();
    let body = message[at + 4..].to_vec();
    let length = header(&head, "Content-Length").map_or(0, |length| length.parse().unwrap());
    (body.len() == length && header(&head, "Transfer-Encoding").is_none()).then_some((head, body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// What an endpoint does: method, path, body.
fn receive(head: &str, body: &[u8], only_path: Option<&str>) -> Result<Inbound, Refusal> {
    let mut words = head.split(' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
    if only_path.is_some_and(|only| only != path) {
        return Err(Refusal::Path);
    }
    if method != "POST" {
        return Err(Refusal::Method);
    }
    decode(&Request { path, query, content_type: header(head, "Content-Type"), body })
}

fn check_probes(name: &str, only_path: Option<&str>, expected: usize) {
    let mut compared = 0;
    for probe in probes(name) {
        let Some((head, body)) = parts(&probe.request) else { continue };
        let received = receive(&head, &body, only_path);
        if probe.answer == b"[EOF]" {
            assert_eq!(probe.title, "JSON null");
            assert_eq!(received, Err(Refusal::Topic), "go-micro panics, we answer");
            continue;
        }
        let Some((answer, body)) = parts(&probe.answer) else { continue };
        compared += 1;
        let status = answer.split(' ').nth(1).unwrap();
        match received {
            Ok(_) => assert_eq!((status, body), ("200", Vec::new()), "{}", probe.title),
            Err(refusal) => {
                let ours = refusal.answer();
                assert_eq!(ours.status.to_string(), status, "{}", probe.title);
                assert_eq!(str::from_utf8(&ours.body), str::from_utf8(&body), "{}", probe.title);
                let of_server = ["Date", "Content-Length", "Connection"];
                let theirs = answer.lines().skip(1).map(|line| line.split_once(": ").unwrap());
                let theirs: Vec<_> = theirs.filter(|(name, _)| !of_server.contains(name)).collect();
                assert_eq!(ours.headers, theirs, "{}", probe.title);
            }
        }
    }
    assert_eq!(compared, expected);
}

#[test]
fn every_answer_is_what_v1_answered() {
    check_probes("http-probe.v1.txt", Some("/_sub"), 32);
}

#[test]
fn every_answer_is_what_v2_answered() {
    check_probes("http-probe.v2.txt", None, 32);
}
