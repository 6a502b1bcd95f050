//! The host of a native build: what `testing` runs a handler against. It lives in the thread that runs the handler, so
//! that tests run beside each other, and it refuses what the real host would refuse.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use log::Level;

use crate::event::SettleError;
use crate::host::millis;
use crate::http::{HttpError, Request, Response};
use crate::key_value::KeyValueError;
use crate::publish::{Message, PublishError};
use crate::testing::{Event, LogLine, Published};

/// How the double answers.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    pub(crate) config: BTreeMap<String, String>,
    /// By topic.
    pub(crate) refusals: BTreeMap<String, Refusal>,
    /// What the buckets hold at the start.
    pub(crate) buckets: Buckets,
    pub(crate) denied_buckets: BTreeSet<String>,
    /// By URL.
    pub(crate) responses: BTreeMap<String, Response>,
}

/// Values by bucket and key.
pub(crate) type Buckets = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// Makes the error with which a topic is refused. A function, because the error cannot be cloned.
pub(crate) type Refusal = std::rc::Rc<dyn Fn() -> PublishError>;

/// What a handler did.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) published: Vec<Published>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) acked: bool,
    pub(crate) extended: Vec<Duration>,
    pub(crate) buckets: Buckets,
    pub(crate) requests: Vec<Request>,
}

struct Host {
    rules: Rules,
    effects: Effects,
}

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// Takes the host away at the end, also when the handler panics: the next test may run in the same thread.
struct Attached;

impl Drop for Attached {
    fn drop(&mut self) {
        CURRENT.take();
    }
}

/// Runs `work` with a host in this thread and returns what it did to it.
pub(crate) fn attach<T>(rules: Rules, work: impl FnOnce() -> T) -> (T, Effects) {
    let effects = Effects { buckets: rules.buckets.clone(), ..Effects::default() };
    let before = CURRENT.replace(Some(Host { rules, effects }));
    assert!(before.is_none(), "a handler cannot be run inside another");
    let _attached = Attached;
    let result = work();
    (result, CURRENT.take().map(|host| host.effects).unwrap_or_default())
}

fn with_host<T>(work: impl FnOnce(&mut Host) -> T) -> Option<T> {
    CURRENT.with_borrow_mut(|host| host.as_mut().map(work))
}

fn no_host() -> String {
    "there is no host in this thread; run the handler with `hostel::testing::run`".to_owned()
}

/// The delivery that a test made.
pub(crate) struct Delivery<'a>(pub(crate) &'a Event);

impl Delivery<'_> {
    pub(crate) fn id(&self) -> String {
        self.0.id.clone()
    }

    pub(crate) fn topic(&self) -> String {
        self.0.topic.clone()
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.0.attempt
    }

    pub(crate) fn published_at_ms(&self) -> u64 {
        self.0.published_at_ms
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        self.0.headers.clone()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        find_header(&self.0.headers, name).map(ToOwned::to_owned)
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.0.body.clone()
    }

    pub(crate) fn error(&self) -> Option<String> {
        self.0.last_error.clone()
    }

    #[expect(clippy::unused_self, reason = "the component's delivery needs it")]
    pub(crate) fn ack(&self) -> Result<(), SettleError> {
        with_host(|host| match std::mem::replace(&mut host.effects.acked, true) {
            true => Err(SettleError::AlreadySettled),
            false => Ok(()),
        })
        .unwrap_or_else(|| Err(SettleError::Failed(no_host())))
    }

    #[expect(clippy::unused_self, reason = "the component's delivery needs it")]
    pub(crate) fn extend(&self, time: Duration) -> Result<(), SettleError> {
        with_host(|host| host.effects.extended.push(Duration::from_millis(millis(time))))
            .ok_or_else(|| SettleError::Failed(no_host()))
    }
}

/// The value of the first header with this name, whatever its case.
pub(crate) fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

pub(crate) fn publish(topic: &str, message: Message) -> Result<String, PublishError> {
    let publish = |host: &mut Host| {
        check_topic(topic).map_err(PublishError::Invalid)?;
        check_headers(&message.headers).map_err(PublishError::Invalid)?;
        if let Some(refusal) = host.rules.refusals.get(topic) {
            return Err(refusal());
        }
        let Message { headers, body } = message;
        let given = find_header(&headers, "Hostel-Id").map(ToOwned::to_owned);
        // Counted, so that a test can foresee it.
        let id = given.unwrap_or_else(|| format!("published-{}", host.effects.published.len() + 1));
        host.effects.published.push(Published { id: id.clone(), topic: topic.to_owned(), headers, body });
        Ok(id)
    };
    with_host(publish).unwrap_or_else(|| Err(PublishError::Failed(no_host())))
}

/// Answers as the test says, whatever the method.
pub(crate) fn send(request: Request) -> Result<Response, HttpError> {
    let answer = |host: &mut Host| {
        let missing = || {
            let url = &request.url;
            HttpError::Failed(format!("the test has no answer for `{url}`; give one with `testing::Host::respond`"))
        };
        let answer = host.rules.responses.get(&request.url).cloned().ok_or_else(missing);
        host.effects.requests.push(request);
        answer
    };
    with_host(answer).unwrap_or_else(|| Err(HttpError::Failed(no_host())))
}

/// Keys in one answer, as in the host.
const PAGE: usize = 1000;

/// A bucket of the test's.
pub(crate) struct Bucket(String);

pub(crate) fn open_bucket(name: &str) -> Result<Bucket, KeyValueError> {
    let open = |host: &mut Host| {
        check_bucket(name).map_err(KeyValueError::Failed)?;
        match host.rules.denied_buckets.contains(name) {
            true => Err(KeyValueError::Denied { bucket: name.to_owned() }),
            false => Ok(Bucket(name.to_owned())),
        }
    };
    with_host(open).unwrap_or_else(|| Err(KeyValueError::Failed(no_host())))
}

impl Bucket {
    /// Does something to what the bucket holds, once the key is found to be one.
    fn with<T>(
        &self,
        key: &str,
        work: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> Result<T, String>,
    ) -> Result<T, KeyValueError> {
        check_key(key).map_err(KeyValueError::Failed)?;
        with_host(|host| work(host.effects.buckets.entry(self.0.clone()).or_default()))
            .unwrap_or_else(|| Err(no_host()))
            .map_err(KeyValueError::Failed)
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.with(key, |values| Ok(values.get(key).cloned()))
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), KeyValueError> {
        self.with(key, |values| {
            values.insert(key.to_owned(), value.to_owned());
            Ok(())
        })
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.with(key, |values| {
            values.remove(key);
            Ok(())
        })
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool, KeyValueError> {
        self.with(key, |values| Ok(values.contains_key(key)))
    }

    pub(crate) fn increment(&self, key: &str, delta: u64) -> Result<u64, KeyValueError> {
        self.with(key, |values| {
            let number = match values.get(key) {
                None => Some(0),
                Some(value) => std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok()),
            };
            let number = number.ok_or_else(|| {
                format!("the value of key `{key}` is not a number in decimal digits up to {}", u64::MAX)
            })?;
            let sum = number.checked_add(delta);
            let sum = sum.ok_or_else(|| format!("the value of key `{key}` would be larger than {}", u64::MAX))?;
            values.insert(key.to_owned(), sum.to_string().into_bytes());
            Ok(sum)
        })
    }

    /// A page. The cursor is how many keys were told before.
    pub(crate) fn list_keys(&self, cursor: Option<u64>) -> Result<(Vec<String>, Option<u64>), KeyValueError> {
        let told = cursor.and_then(|cursor| usize::try_from(cursor).ok()).unwrap_or(0);
        let keys = with_host(|host| {
            let values = host.effects.buckets.get(&self.0);
            let all = values.into_iter().flat_map(BTreeMap::keys);
            all.skip(told).take(PAGE).cloned().collect::<Vec<String>>()
        });
        let keys = keys.ok_or_else(|| KeyValueError::Failed(no_host()))?;
        let next = (keys.len() == PAGE).then(|| u64::try_from(told + PAGE).unwrap_or(u64::MAX));
        Ok((keys, next))
    }
}

/// The host's rule for buckets: 1 to 63 bytes of `A-Z a-z 0-9 . _ -`.
fn check_bucket(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("bucket is empty".to_owned());
    }
    if name.len() > 63 {
        return Err(format!("bucket has {} bytes, more than 63", name.len()));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name.chars().find(|&c| !is_allowed(c)) {
        Some(found) => Err(format!("bucket `{name}` has {found:?}; allowed are A-Z, a-z, 0-9, ., _ and -")),
        None => Ok(()),
    }
}

/// The host's rule for keys: 1 to 1,024 bytes without NUL.
fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("key is empty".to_owned());
    }
    if key.len() > 1024 {
        return Err(format!("key has {} bytes, more than 1024", key.len()));
    }
    match key.find('\0') {
        Some(at) => Err(format!("key has a NUL at byte {at}")),
        None => Ok(()),
    }
}

pub(crate) fn config(key: &str) -> Result<Option<String>, String> {
    with_host(|host| host.rules.config.get(key).cloned()).ok_or_else(no_host)
}

/// Keeps a line, and shows it as the output of the test.
#[expect(clippy::print_stderr, reason = "cargo test shows it when the test fails")]
pub(crate) fn log(level: Level, context: &str, text: &str) {
    eprintln!("{level:5} {context}: {text}");
    let line = || LogLine { level, context: context.to_owned(), text: text.to_owned() };
    with_host(|host| host.effects.logs.push(line()));
}

/// The host's rule for topics: 1 to 255 bytes of `A-Z a-z 0-9 . _ -` and no empty token.
fn check_topic(topic: &str) -> Result<(), String> {
    if topic.is_empty() {
        return Err("topic is empty".to_owned());
    }
    if topic.len() > 255 {
        return Err(format!("topic has {} bytes, more than 255", topic.len()));
    }
    if topic.split('.').any(str::is_empty) {
        return Err(format!("topic `{topic}` has an empty token"));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match topic.chars().find(|&c| !is_allowed(c)) {
        Some(found) => Err(format!("topic `{topic}` has {found:?}; allowed are A-Z, a-z, 0-9, ., _ and -")),
        None => Ok(()),
    }
}

/// The host's rule for headers: names of 1 to 256 bytes without white space and control characters, values without
/// NUL, at most 128 of them and 64 KiB together.
fn check_headers(headers: &[(String, String)]) -> Result<(), String> {
    for (name, value) in headers {
        if name.is_empty() || name.len() > 256 || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(format!(
                "header name {name:?} is not 1 to 256 bytes without white space and control characters"
            ));
        }
        if value.contains('\0') {
            return Err(format!("the value of header `{name}` has a NUL character"));
        }
    }
    if headers.len() > 128 {
        return Err("a message has at most 128 headers".to_owned());
    }
    if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > 64 * 1024 {
        return Err("the headers of a message have at most 65536 bytes".to_owned());
    }
    Ok(())
}
