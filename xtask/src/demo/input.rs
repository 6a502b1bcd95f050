//! What the demo publishes: this repository's own history, and the fixtures in `xtask/demo/`.

use std::fs;

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{process, repository};

/// The newest so many commits. Arbitrary: enough to see, and few enough to wait for.
const COMMITS: usize = 500;

/// One message, and what is expected of it.
pub(super) struct Sample {
    /// What is special about it.
    pub(super) note: String,
    /// Part of the reason, if it is to be rejected.
    pub(super) rejected: Option<String>,
    pub(super) body: Vec<u8>,
    topic: &'static str,
    headers: Vec<String>,
}

impl Sample {
    /// The words after `hostel` that publish it with its body on standard input.
    pub(super) fn arguments(&self, flags: &[&str]) -> Vec<String> {
        let mut words = vec!["publish".to_owned(), self.topic.to_owned(), "-".to_owned()];
        words.extend(self.headers.iter().flat_map(|header| ["-H".to_owned(), header.clone()]));
        words.extend(flags.iter().map(|flag| (*flag).to_owned()));
        words
    }
}

/// This repository's commits as lines of JSON, newest first; outside of a clone, the packages that it is made of.
pub(super) fn history() -> Result<(&'static str, Vec<String>)> {
    let log = process::capture(
        process::command("git")
            .args(["log", "--format=%H%x1f%an%x1f%aI%x1f%s"])
            .args(["--max-count", &COMMITS.to_string()]),
    );
    match log {
        Ok(log) if !log.is_empty() => Ok(("commits of this repository", log.lines().filter_map(commit).collect())),
        _ => Ok(("packages of Cargo.lock (there is no history here)", packages()?)),
    }
}

fn commit(line: &str) -> Option<String> {
    let mut parts = line.splitn(4, '\u{1f}');
    let (id, author, at, subject) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(json!({"commit": id, "author": author, "at": at, "subject": subject}).to_string())
}

fn packages() -> Result<Vec<String>> {
    let lock = fs::read_to_string(repository::root().join("Cargo.lock")).context("cannot read `Cargo.lock`")?;
    let value = |part: &str, key: &str| {
        part.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).map(|text| text.replace('"', ""))
    };
    let parts = lock.split("[[package]]").skip(1);
    let lines = parts.filter_map(|part| {
        Some(json!({"package": value(part, "name")?, "version": value(part, "version")?}).to_string())
    });
    Ok(lines.collect())
}

/// Registrations of students, good and bad.
pub(super) fn registrations() -> Result<Vec<Sample>> {
    let headers = || vec!["Content-Type: application/json".to_owned()];
    fixture("registrations.jsonl", |line| {
        Ok(Sample {
            note: text(line, "note")?,
            rejected: text(line, "rejected").ok(),
            body: body(line)?,
            topic: "students.registered",
            headers: headers(),
        })
    })
}

/// Webhooks, signed with the secret unless they are to be refused for that.
pub(super) fn webhooks(secret: &str) -> Result<Vec<Sample>> {
    fixture("webhooks.jsonl", |line| {
        let body = body(line)?;
        let mut headers =
            vec!["Content-Type: application/json".to_owned(), format!("X-GitHub-Event: {}", text(line, "type")?)];
        let signature = match text(line, "sign")?.as_str() {
            "right" => Some(sign(secret, &body)?),
            "wrong" => Some(sign("somebody else's secret", &body)?),
            "none" => None,
            other => bail!("`sign` is `{other}`; it may be `right`, `wrong` or `none`"),
        };
        headers.extend(signature.map(|signature| format!("X-Hub-Signature-256: {signature}")));
        Ok(Sample {
            note: text(line, "note")?,
            rejected: text(line, "rejected").ok(),
            body,
            topic: "webhooks-in.github",
            headers,
        })
    })
}

fn fixture(name: &str, read: impl Fn(&Value) -> Result<Sample>) -> Result<Vec<Sample>> {
    let path = super::fixtures().join(name);
    let lines = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", repository::shown(&path)))?;
    let samples = lines.lines().enumerate().map(|(index, line)| {
        let sample = serde_json::from_str(line).map_err(Into::into).and_then(|line| read(&line));
        sample.with_context(|| format!("{}:{}", repository::shown(&path), index + 1))
    });
    samples.collect()
}

fn text(line: &Value, key: &str) -> Result<String> {
    line.get(key).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no text under `{key}`"))
}

/// A text is sent as it is, anything else as JSON.
fn body(line: &Value) -> Result<Vec<u8>> {
    Ok(match line.get("body").context("no `body`")? {
        Value::String(text) => text.clone().into_bytes(),
        other => serde_json::to_vec(other)?,
    })
}

/// A signature in the manner of GitHub: HMAC-SHA256 of the body, in hexadecimal digits after `sha256=`.
fn sign(secret: &str, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256={digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_documented_one() {
        // The example of GitHub's documentation, "Validating webhook deliveries".
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign("It's a Secret to Everybody", b"Hello, World!").unwrap(), expected);
    }

    #[test]
    fn a_commit_becomes_a_line_of_json() {
        let line = commit("0a1b\u{1f}Ada \"A\" L\u{1f}2026-01-02T03:04:05Z\u{1f}area: do the thing").unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["author"], "Ada \"A\" L");
        assert_eq!(value["subject"], "area: do the thing");
        assert_eq!(commit("0a1b"), None);
    }

    #[test]
    fn without_a_history_there_are_packages() {
        assert!(packages().unwrap().iter().any(|line| line.starts_with(r#"{"package":"anyhow","#)));
    }

    #[test]
    fn both_fixtures_hold_good_and_bad_messages() {
        for samples in [registrations().unwrap(), webhooks("secret").unwrap()] {
            let bad = samples.iter().filter(|sample| sample.rejected.is_some()).count();
            assert!(bad >= 3 && samples.len() - bad >= 3);
        }
    }
}
