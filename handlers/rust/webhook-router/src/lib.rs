//! Verifies webhooks in the manner of GitHub and routes each to the topic of what happened: `webhooks.<type>.<action>`,
//! or `webhooks.<type>` for a type without actions.
//!
//! The signature is checked before anything of the body is believed. The secret is the config key `webhook-secret`;
//! until the operator has set it, events are tried again instead of lost.

use hmac::{Hmac, KeyInit as _, Mac as _};
use hostel::Message;
use serde::Deserialize;
use sha2::Sha256;

/// HMAC-SHA256 of the body under the secret, as `sha256=` and hexadecimal digits.
const SIGNATURE: &str = "X-Hub-Signature-256";
/// What kind of thing happened.
const TYPE: &str = "X-GitHub-Event";
/// The sender's own id of this webhook.
const DELIVERY: &str = "X-GitHub-Delivery";
/// The config key of the secret that is shared with the sender.
const SECRET: &str = "webhook-secret";
/// The types that somebody here listens to. Another is rejected rather than published where nobody hears it.
const TYPES: [&str; 8] =
    ["check_run", "issue_comment", "issues", "ping", "pull_request", "push", "release", "workflow_run"];

/// What of a payload decides where it goes.
#[derive(Deserialize)]
struct Payload {
    action: Option<String>,
}

/// Handles one webhook.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    let secret = hostel::require_config(SECRET)?;
    if secret.is_empty() {
        return Err(hostel::retry(format!("config key `{SECRET}` is empty; anybody could sign with it")));
    }
    let signature = event.header(SIGNATURE).ok_or_else(|| hostel::reject(format!("header {SIGNATURE} is missing")))?;
    verify(&secret, &signature, event.body())?;

    let kind = event.header(TYPE).ok_or_else(|| hostel::reject(format!("header {TYPE} is missing")))?;
    if !TYPES.contains(&kind.as_str()) {
        return Err(hostel::reject(format!("type {kind:?} is not one that is routed: {}", TYPES.join(", "))));
    }
    let payload: Payload = event.json()?;
    let topic = match payload.action {
        Some(action) if is_token(&action) => format!("webhooks.{kind}.{action}"),
        Some(action) => return Err(hostel::reject(format!("action {action:?} cannot be part of a topic"))),
        None => format!("webhooks.{kind}"),
    };

    // Another attempt at the same webhook publishes under the same id, by which its hearers know it.
    let mut message = Message::new(event.body()).id(format!("webhook-{}", event.id())).header(TYPE, kind);
    for name in ["Content-Type", DELIVERY] {
        if let Some(value) = event.header(name) {
            message = message.header(name, value);
        }
    }
    hostel::publish_message(&topic, message)?;
    hostel::info!("routed to {topic}");
    Ok(())
}

/// Checks that the body was signed with the secret, in a time that does not tell how much of the signature is right.
fn verify(secret: &str, signature: &str, body: &[u8]) -> hostel::Result {
    let signature = signature.strip_prefix("sha256=").and_then(decode_hex);
    let Some(signature) = signature else {
        return Err(hostel::reject(format!("header {SIGNATURE} is not `sha256=` and hexadecimal digits")));
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    mac.verify_slice(&signature)
        .map_err(|_| hostel::reject(format!("header {SIGNATURE} does not fit the body and the secret")))
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Whether a text can stand between the dots of a topic. The bound is arbitrary; the longest action known has 25 bytes.
fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-')
}

#[cfg(test)]
mod tests {
    use hostel::testing;

    use super::*;

    /// Key, body and signature of the example in GitHub's documentation, "Validating webhook deliveries".
    const EXAMPLE_SECRET: &str = "It's a Secret to Everybody";
    const EXAMPLE_BODY: &str = "Hello, World!";
    const EXAMPLE_SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn sign(body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(EXAMPLE_SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={digits}")
    }

    fn signed(kind: &str, body: &str) -> testing::Event {
        testing::Event::new("webhooks-in.github")
            .id("e-1")
            .header("content-type", "application/json")
            .header("x-github-event", kind)
            .header("x-github-delivery", "72d3162e")
            .header("x-hub-signature-256", sign(body))
            .body(body)
    }

    fn run(event: testing::Event) -> testing::Run {
        testing::Host::new().config(SECRET, EXAMPLE_SECRET).run(handle, event)
    }

    #[track_caller]
    fn assert_rejected(event: testing::Event, expected: &str) {
        let run = run(event);
        assert_eq!(run.result, Err(hostel::reject(expected)));
        assert!(run.published.is_empty());
    }

    #[test]
    fn the_documented_signature_fits() {
        assert_eq!(verify(EXAMPLE_SECRET, EXAMPLE_SIGNATURE, EXAMPLE_BODY.as_bytes()), Ok(()));
        assert_eq!(sign(EXAMPLE_BODY), EXAMPLE_SIGNATURE);
    }

    #[test]
    fn a_webhook_goes_to_the_topic_of_its_type_and_action() {
        let body = r#"{"action":"opened","number":7}"#;
        let run = run(signed("pull_request", body));
        assert_eq!(run.result, Ok(()));
        let [routed] = &run.published[..] else { panic!("{:?}", run.published) };
        assert_eq!((routed.topic.as_str(), routed.id.as_str()), ("webhooks.pull_request.opened", "webhook-e-1"));
        assert_eq!(routed.body, body.as_bytes());
        assert_eq!(routed.header("X-GitHub-Event"), Some("pull_request"));
        assert_eq!(routed.header("X-GitHub-Delivery"), Some("72d3162e"));
        assert_eq!(routed.header("Content-Type"), Some("application/json"));
        assert_eq!(routed.header(SIGNATURE), None);
    }

    #[test]
    fn a_type_without_actions_has_a_topic_of_two_tokens() {
        assert_eq!(run(signed("push", "{}")).published[0].topic, "webhooks.push");
    }

    #[test]
    fn a_changed_body_or_signature_is_rejected() {
        let unfit = "header X-Hub-Signature-256 does not fit the body and the secret";
        assert_rejected(signed("push", "{}").body("{ }"), unfit);
        let unsigned = || testing::Event::new("webhooks-in.github").header(TYPE, "push").body("{}");
        assert_rejected(unsigned().header(SIGNATURE, sign("other")), unfit);
        let prefix: String = sign("{}").chars().take("sha256=".len() + 2).collect();
        assert_rejected(unsigned().header(SIGNATURE, prefix), unfit);
        assert_rejected(unsigned().header(SIGNATURE, "sha256="), unfit);
    }

    #[test]
    fn a_missing_or_malformed_signature_is_rejected() {
        let unsigned = || testing::Event::new("webhooks-in.github").header(TYPE, "push").body("{}");
        assert_rejected(unsigned(), "header X-Hub-Signature-256 is missing");
        let malformed = "header X-Hub-Signature-256 is not `sha256=` and hexadecimal digits";
        for signature in ["", "sha1=00", "sha256=0", "sha256=0g", "sha256=é", "sha256=+1"] {
            assert_rejected(unsigned().header(SIGNATURE, signature), malformed);
        }
    }

    #[test]
    fn an_unknown_type_is_rejected_with_its_name() {
        let routed = "check_run, issue_comment, issues, ping, pull_request, push, release, workflow_run";
        assert_rejected(signed("fork", "{}"), &format!("type \"fork\" is not one that is routed: {routed}"));
    }

    #[test]
    fn an_action_that_would_change_the_topic_is_rejected() {
        let check = |action: &str| {
            let body = format!("{{\"action\":\"{action}\"}}");
            assert_rejected(signed("issues", &body), &format!("action {action:?} cannot be part of a topic"));
        };
        check("");
        check("a.b");
        check("*");
        check(&"a".repeat(65));
    }

    #[test]
    fn a_signed_body_that_is_not_json_is_rejected() {
        let error = run(signed("push", "payload=%7B%7D")).result.unwrap_err();
        assert!(error.is_reject());
        assert!(error.reason().starts_with("the body is not the JSON that is expected"), "{error}");
    }

    #[test]
    fn without_a_secret_it_is_tried_again() {
        let result = testing::run(handle, signed("push", "{}")).result;
        assert_eq!(
            result,
            Err(hostel::retry(
                "config key `webhook-secret` is not set; set it under `[config]` in the handler's manifest"
            ))
        );
        let empty = testing::Host::new().config(SECRET, "").run(handle, signed("push", "{}"));
        assert!(!empty.result.unwrap_err().is_reject());
    }
}
