//! Does what an event asks for and tells what came of it: the fixture by which every language is held to the same
//! answers. `docs/languages.md` says what each behaviour does; `tests/tests/conformance.rs` asks for them.
//!
//! The behaviour is the header `Behaviour`. What came of it is published on `conformance.result`: as JSON, but for
//! `echo`.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hostel::http::{self, HttpError, Request};
use hostel::key_value::{self, KeyValueError};
use hostel::{Event, Message, PublishError, SettleError};
use serde_json::{Value, json};

/// Where answers are published.
const RESULT: &str = "conformance.result";
/// The other topic that the manifest allows.
const OTHER: &str = "conformance.other";
/// One that it does not.
const DENIED: &str = "conformance.denied";

/// Events that this instance has counted.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Refuses a deployment whose config says so.
#[hostel::init]
fn prepare() -> hostel::Result {
    match hostel::config("refuse")? {
        Some(why) => Err(hostel::reject(format!("refused on demand: {why}"))),
        None => Ok(()),
    }
}

/// Does what the event says.
#[hostel::handler]
fn handle(event: Event) -> hostel::Result {
    let behaviour = event.header("Behaviour").unwrap_or_default();
    match behaviour.as_str() {
        "echo" => echo(&event),
        "describe" => tell(&event, &describe(&event)?),
        "publish" => tell(&event, &publish(&event)?),
        "publish-denied" => Ok(hostel::publish(DENIED, &json!({})).map(drop)?),
        "key-value" => tell(&event, &keep(&event)?),
        "key-value-denied" => Ok(key_value::open("forbidden").map(drop)?),
        "config" => tell(&event, &json!({ "set": hostel::config("greeting")?, "unset": hostel::config("absent")? })),
        "require-config" => Ok(hostel::require_config("absent").map(drop)?),
        "log" => {
            log();
            Ok(())
        }
        "clocks" => tell(&event, &clocks(&event)?),
        "random" => tell(&event, &json!({ "random": [random()?, random()?] })),
        "http" => tell(&event, &ask(&event)?),
        "retry" => retry(&event),
        "reject" => Err(hostel::reject("rejected on demand: nö")),
        "ack" => acknowledge(&event),
        "extend" => tell(&event, &extend(&event)?),
        "sleep" => {
            std::thread::sleep(milliseconds(&event)?);
            tell(&event, &json!({}))
        }
        "panic" => outermost(&event),
        "count" => tell(&event, &json!({ "count": COUNT.fetch_add(1, Ordering::Relaxed) + 1 })),
        other => Err(hostel::reject(format!("there is no behaviour {other:?}"))),
    }
}

fn tell(event: &Event, answer: &Value) -> hostel::Result {
    let message = Message::json(answer)?.id(format!("result-{}", event.id()));
    hostel::publish_message(RESULT, message)?;
    Ok(())
}

/// The body as it came, and of the headers those that begin with `x-`.
fn echo(event: &Event) -> hostel::Result {
    let mut message = Message::new(event.body()).id(format!("result-{}", event.id()));
    for (name, value) in event.headers() {
        if name.to_ascii_lowercase().starts_with("x-") {
            message = message.header(name, value);
        }
    }
    hostel::publish_message(RESULT, message)?;
    Ok(())
}

fn describe(event: &Event) -> hostel::Result<Value> {
    Ok(json!({
        "id": event.id(),
        "topic": event.topic(),
        "attempt": event.attempt(),
        "published_at_ms": since_epoch(event.published_at())?,
        "last_error": event.last_error(),
        "bytes": event.body().len(),
        // Written otherwise than it is sent.
        "header": event.header("x-REPEATED"),
        "missing": event.header("X-Missing"),
    }))
}

fn publish(event: &Event) -> hostel::Result<Value> {
    let message = Message::new("other").header("X-Kind", "other").id(format!("other-{}", event.id()));
    let id = hostel::publish_message(OTHER, message)?;
    let refused = |topic| match hostel::publish(topic, &json!({})) {
        Err(PublishError::Denied(why)) => json!(["denied", why]),
        Err(PublishError::Invalid(why)) => json!(["invalid", why]),
        other => json!(["unexpected", format!("{other:?}")]),
    };
    Ok(json!({ "id": id, "denied": refused(DENIED), "invalid": refused("conformance..other") }))
}

fn keep(event: &Event) -> hostel::Result<Value> {
    let bucket = key_value::open("conformance")?;
    let key = format!("{}-value", event.id());
    let before = bucket.get(&key)?;
    bucket.set(&key, [0, 255, b'v'])?;
    let after = bucket.get(&key)?;
    let exists = bucket.exists(&key)?;
    let number = format!("{}-number", event.id());
    bucket.increment(&number, 2)?;
    let sum = bucket.increment(&number, 3)?;
    let keys: Vec<String> = bucket.keys().collect::<Result<_, _>>()?;
    bucket.delete(&key)?;
    Ok(json!({
        "before": before,
        "after": after,
        "exists": exists,
        "sum": sum,
        "keys": keys,
        "deleted": !bucket.exists(&key)?,
        "denied": matches!(key_value::open("forbidden"), Err(KeyValueError::Denied { .. })),
    }))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what is printed is a log line")]
fn log() {
    hostel::trace!("at trace");
    hostel::debug!("at debug");
    hostel::info!("at info: grüß dich");
    hostel::warn!("at warn");
    hostel::error!("at error");
    println!("on stdout");
    eprintln!("on stderr");
}

fn clocks(event: &Event) -> hostel::Result<Value> {
    let began = Instant::now();
    std::thread::sleep(milliseconds(event)?);
    Ok(json!({
        "wall_ms": since_epoch(SystemTime::now())?,
        "elapsed_ms": u64::try_from(began.elapsed().as_millis())?,
    }))
}

fn random() -> hostel::Result<Vec<u8>> {
    let mut bytes = vec![0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn ask(event: &Event) -> hostel::Result<Value> {
    let url = required(event, "Url")?;
    let answer = http::send(Request::new("POST", &url).header("X-Sent", "sent").body(event.body()))?;
    let denied = http::get(&required(event, "Denied-Url")?);
    Ok(json!({
        "status": answer.status(),
        "header": answer.header("X-Answered"),
        "body": answer.text()?,
        "denied": matches!(denied, Err(HttpError::Denied { .. })),
    }))
}

fn retry(event: &Event) -> hostel::Result {
    if event.attempt() > 1 {
        return tell(event, &describe(event)?);
    }
    let error = hostel::retry("not yet: nö");
    Err(match event.header("Milliseconds") {
        Some(_) => error.after(milliseconds(event)?),
        None => error,
    })
}

/// What is published before holds, whatever happens after.
fn acknowledge(event: &Event) -> hostel::Result {
    hostel::publish_message(OTHER, Message::new("before"))?;
    event.ack()?;
    let second = event.ack();
    tell(event, &json!({ "already_settled": second == Err(SettleError::AlreadySettled) }))?;
    outermost(event)
}

fn extend(event: &Event) -> hostel::Result<Value> {
    let time = milliseconds(event)?;
    event.extend(time * 2)?;
    std::thread::sleep(time);
    let left = match event.extend(Duration::from_secs(86_400)) {
        Err(SettleError::TooLong { left }) => json!(u64::try_from(left.as_millis())?),
        other => json!(format!("{other:?}")),
    };
    Ok(json!({ "left_ms": left }))
}

#[inline(never)]
fn outermost(event: &Event) -> hostel::Result {
    black_box(middle)(event)
}

#[inline(never)]
fn middle(event: &Event) -> hostel::Result {
    black_box(innermost)(event)
}

#[inline(never)]
#[expect(clippy::panic, reason = "that is what is asked for")]
fn innermost(event: &Event) -> hostel::Result {
    panic!("failed on demand in attempt {}", event.attempt())
}

fn milliseconds(event: &Event) -> hostel::Result<Duration> {
    Ok(Duration::from_millis(required(event, "Milliseconds")?.parse()?))
}

fn required(event: &Event, name: &str) -> hostel::Result<String> {
    event.header(name).ok_or_else(|| hostel::reject(format!("header `{name}` is missing")))
}

fn since_epoch(time: SystemTime) -> hostel::Result<u64> {
    Ok(u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?)
}

#[cfg(test)]
mod tests {
    use hostel::testing;

    use super::*;

    #[test]
    fn a_body_and_its_headers_come_back() {
        let event = testing::Event::new("conformance.do").header("Behaviour", "echo").header("X-A", "").body([0, 255]);
        let run = testing::run(handle, event);
        assert_eq!(run.result, Ok(()));
        assert_eq!((run.published[0].body.as_slice(), run.published[0].header("X-A")), (&[0, 255][..], Some("")));
    }

    #[test]
    fn an_unknown_behaviour_is_rejected() {
        let event = testing::Event::new("conformance.do").header("Behaviour", "sing");
        assert_eq!(testing::run(handle, event).result, Err(hostel::reject("there is no behaviour \"sing\"")));
    }
}
