//! From what an author wrote to what the host runs: every name checked, every default filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use hostel_api::manifest::{self, Manifest};
use hostel_api::unit::ByteSize;
use hostel_event::destination::Destination;
use hostel_event::handler::{Digest, Grants, Handler, Limits};
use hostel_event::headers::Headers;
use hostel_event::name::{BucketName, HandlerName, QueueGroup, Tenant, Version};
use hostel_event::pattern::Pattern;
use hostel_event::port::Start;
use hostel_event::subscription::{Order, Place, Quarantine, RetryPolicy, Subscription};
use hostel_event::time::Timestamp;

use super::Refusal;

/// The handler that a manifest describes. Its component is given by digest.
pub(super) fn handler(tenant: &Tenant, manifest: &Manifest) -> Result<Handler, Refusal> {
    let name = HandlerName::new(&manifest.name).map_err(|error| Refusal::name("name", &error))?;
    let version = Version::new(&manifest.version).map_err(|error| Refusal::name("version", &error))?;
    let digest =
        Digest::parse(&manifest.component).map_err(|error| Refusal::Manifest(format!("`component`: {error}")))?;
    if manifest.subscriptions.is_empty() {
        return Err(Refusal::Manifest(
            "`subscriptions` is empty: the handler would never be called; add `[[subscriptions]]` with a `pattern`"
                .to_owned(),
        ));
    }
    let mut heard = BTreeSet::new();
    let mut subscriptions = Vec::with_capacity(manifest.subscriptions.len());
    for (at, written) in manifest.subscriptions.iter().enumerate() {
        let subscription = subscription(tenant, &name, written, at)?;
        if !heard.insert((subscription.source.clone(), subscription.pattern.clone())) {
            let pattern = &subscription.pattern;
            return Err(Refusal::Manifest(format!("`subscriptions[{at}].pattern`: `{pattern}` stands there twice")));
        }
        subscriptions.push(subscription);
    }
    let grants = Grants {
        publish: patterns_of(&manifest.publish)?,
        key_value: buckets_of(&manifest.keyvalue)?,
        http: destinations_of(&manifest.http)?,
        config: manifest.config.0.clone(),
        secrets: secrets_of(manifest)?,
        environment: environment_of(manifest)?,
        files: files_of(manifest)?,
    };
    let limits = limits(&manifest.limits)?;
    let reuse = manifest.reuse.unwrap_or(NonZeroU32::MIN);
    Ok(Handler { tenant: tenant.clone(), name, version, digest, subscriptions, reuse, limits, grants })
}

fn files_of(manifest: &Manifest) -> Result<Option<Digest>, Refusal> {
    let digest = |text| Digest::parse(text).map_err(|error| Refusal::Manifest(format!("`files`: {error}")));
    manifest.files.as_deref().map(digest).transpose()
}

fn patterns_of(written: &[String]) -> Result<Vec<Pattern>, Refusal> {
    let pattern = |(at, text): (usize, &String)| {
        Pattern::new(text).map_err(|error| Refusal::name(&format!("publish[{at}]"), &error))
    };
    written.iter().enumerate().map(pattern).collect()
}

fn buckets_of(written: &[String]) -> Result<Vec<BucketName>, Refusal> {
    let bucket = |(at, text): (usize, &String)| {
        BucketName::new(text).map_err(|error| Refusal::name(&format!("keyvalue[{at}]"), &error))
    };
    written.iter().enumerate().map(bucket).collect()
}

fn destinations_of(written: &[String]) -> Result<Vec<Destination>, Refusal> {
    let destination = |(at, text): (usize, &String)| {
        Destination::parse(text).map_err(|error| Refusal::Manifest(format!("`http[{at}]`: {error}")))
    };
    written.iter().enumerate().map(destination).collect()
}

/// Each name once, and none that `[config]` has: both are answered by the same call.
fn secrets_of(manifest: &Manifest) -> Result<BTreeSet<String>, Refusal> {
    let mut names = BTreeSet::new();
    for (at, name) in manifest.secrets.iter().enumerate() {
        if manifest.config.0.contains_key(name) {
            return Err(Refusal::Manifest(format!("`secrets[{at}]`: `{name}` is a key of `[config]` as well")));
        }
        if !names.insert(name.clone()) {
            return Err(Refusal::Manifest(format!("`secrets[{at}]`: `{name}` stands there twice")));
        }
    }
    Ok(names)
}

fn environment_of(manifest: &Manifest) -> Result<BTreeMap<String, String>, Refusal> {
    for (name, value) in &manifest.environment.0 {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Refusal::Manifest(format!(
                "`environment.{}`: a variable has a name without `=`, and neither it nor its value has a zero byte",
                name.escape_debug()
            )));
        }
    }
    Ok(manifest.environment.0.clone())
}

fn subscription(
    tenant: &Tenant,
    name: &HandlerName,
    written: &manifest::Subscription,
    at: usize,
) -> Result<Subscription, Refusal> {
    let place = |key: &str| format!("subscriptions[{at}].{key}");
    let pattern = Pattern::new(&written.pattern).map_err(|error| Refusal::name(&place("pattern"), &error))?;
    let queue = written.queue.as_deref().map(QueueGroup::new).transpose();
    let source = written.from.as_deref().map(Tenant::new).transpose();
    let standard = match source.map_err(|error| Refusal::name(&place("from"), &error))? {
        Some(source) if source != *tenant => Subscription::imported(tenant, name, &source, pattern),
        _ => Subscription::new(tenant, name, pattern),
    };
    let count = |written: Option<NonZeroU32>, default| {
        written.map_or(default, |number| usize::try_from(number.get()).unwrap_or(usize::MAX))
    };
    let retry = RetryPolicy {
        attempts: written.retry.attempts.map_or(standard.retry.attempts, NonZeroU32::get),
        backoff: written.retry.backoff.map_or(standard.retry.backoff, |span| span.0),
        backoff_limit: written.retry.backoff_limit.map_or(standard.retry.backoff_limit, |span| span.0),
    };
    Ok(Subscription {
        place: Place::Local,
        queue: queue.map_err(|error| Refusal::name(&place("queue"), &error))?,
        concurrency: count(written.concurrency, standard.concurrency),
        window: count(written.window, standard.window),
        retry,
        order: order(written.order_by.as_deref(), &place("order_by"))?,
        quarantine: quarantine(&written.quarantine, standard.quarantine, &place("quarantine"))?,
        start: start(written.start.as_deref(), &place("start"))?,
        ..standard
    })
}

fn order(written: Option<&str>, place: &str) -> Result<Order, Refusal> {
    let Some(text) = written else { return Ok(Order::None) };
    let Some(name) = text.strip_prefix("header:") else {
        return Err(Refusal::Manifest(format!("`{place}`: `{text}` is not `header:` and a header's name")));
    };
    // The rules for names are those of headers.
    Headers::new()
        .append(name, "")
        .map(|()| Order::Header(name.into()))
        .map_err(|error| Refusal::Manifest(format!("`{place}`: {error}")))
}

fn start(written: Option<&str>, place: &str) -> Result<Start, Refusal> {
    match written {
        None | Some("latest") => Ok(Start::Latest),
        Some("earliest") => Ok(Start::Earliest),
        Some(text) => match hostel_api::time::point(text) {
            Some(millis) => Ok(Start::Time(Timestamp::from_millis(millis))),
            None => Err(Refusal::Manifest(format!(
                "`{place}`: `{text}` is neither `earliest`, `latest` nor a time such as `2026-01-31T12:00:00Z`"
            ))),
        },
    }
}

/// Refuses subscriptions that begin where they cannot: with what nobody kept, or at a time that has not come.
pub(super) fn check_starts(handler: &Handler, keeps: bool, now: Timestamp) -> Result<(), Refusal> {
    for (at, subscription) in handler.subscriptions.iter().enumerate() {
        match subscription.start {
            Start::Latest => {}
            Start::Time(time) if time > now => {
                return Err(Refusal::Manifest(format!(
                    "`subscriptions[{at}].start` lies in the future; leave it out for what is published from now on"
                )));
            }
            _ if !keeps => {
                return Err(Refusal::NothingKept(format!(
                    "`subscriptions[{at}].start`: this host runs with the memory broker, which keeps no events that are \
                     settled"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn quarantine(written: &manifest::Quarantine, standard: Quarantine, place: &str) -> Result<Quarantine, Refusal> {
    let faults = written.faults.unwrap_or(standard.faults);
    let window = written.window.map_or(standard.window, |span| span.0);
    if faults > Quarantine::FAULTS_LIMIT {
        let limit = Quarantine::FAULTS_LIMIT;
        return Err(Refusal::Manifest(format!("`{place}.faults`: {faults} is more than {limit}; 0 is never")));
    }
    if faults > 0 && window.is_zero() {
        return Err(Refusal::Manifest(format!("`{place}.window` must be longer than nothing; `faults = 0` is never")));
    }
    Ok(Quarantine { faults, window })
}

fn limits(written: &manifest::Limits) -> Result<Limits, Refusal> {
    let standard = Limits::default();
    let size = |written: Option<ByteSize>, default| {
        written.map_or(default, |size| usize::try_from(size.0).unwrap_or(usize::MAX))
    };
    let number = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let limits = Limits {
        memory: size(written.memory, standard.memory),
        deadline: written.deadline.map_or(standard.deadline, |span| span.0),
        cpu_time: written.cpu_time.map(|span| span.0),
        log_lines: written.log_lines.map_or(standard.log_lines, number),
        log_bytes: size(written.log_bytes, standard.log_bytes),
        published_events: written.published_events.map_or(standard.published_events, number),
        published_bytes: size(written.published_bytes, standard.published_bytes),
    };
    for (key, asked, most) in [
        ("published_events", limits.published_events, Limits::PUBLISHED_EVENTS),
        ("published_bytes", limits.published_bytes, Limits::PUBLISHED_BYTES),
    ] {
        if asked > most {
            let text = format!("`limits.{key}`: {asked} is more than {most}, as many as one acknowledgement carries");
            return Err(Refusal::Manifest(text));
        }
    }
    if limits.deadline.is_zero() {
        return Err(Refusal::Manifest("`limits.deadline` must be longer than nothing".to_owned()));
    }
    if limits.cpu_time.is_some_and(|time| time.is_zero()) {
        return Err(Refusal::Manifest(
            "`limits.cpu_time` must be longer than nothing; leave it out for no limit".to_owned(),
        ));
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DIGEST: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000ff";

    fn read(rest: &str) -> Result<Handler, String> {
        let text = format!("component = '{DIGEST}'\n{rest}");
        let manifest = Manifest::from_toml(&text, "handler.toml").unwrap();
        handler(&Tenant::new("acme").unwrap(), &manifest).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn what_is_not_written_is_the_default() {
        let handler = read("name = 'hello'\nsubscriptions = [{ pattern = 'orders.*' }]").unwrap();
        assert_eq!(handler.version.as_str(), "0.0.0");
        assert_eq!(handler.limits, Limits::default());
        assert_eq!((handler.grants, handler.reuse.get()), (Grants::default(), 1));
        let pattern = Pattern::new("orders.*").unwrap();
        assert_eq!(handler.subscriptions, [Subscription::new(&handler.tenant, &handler.name, pattern)]);
    }

    #[test]
    fn what_is_written_is_taken() {
        let handler = read(
            "name = 'hello'\nversion = '1.2'\npublish = ['a.>']\nkeyvalue = ['totals']\nconfig = { key = 'value' }\n\
             reuse = 50\n\
             limits = { memory = '1MiB', deadline = '250ms', cpu_time = '20ms', log_lines = 3, log_bytes = '1KiB', \
                        published_events = 4, published_bytes = '2KiB' }\n\
             secrets = ['KEY']\nenvironment = { TZ = 'UTC' }\n\
             [[subscriptions]]\npattern = 'a'\nqueue = 'q'\nconcurrency = 2\nwindow = 3\n\
             retry = { attempts = 1, backoff = '1ms', backoff_limit = '2ms' }\norder_by = 'header:X-Key'\n\
             quarantine = { faults = 3, window = '5s' }",
        )
        .unwrap();
        let expected = Limits {
            memory: 1 << 20,
            deadline: Duration::from_millis(250),
            cpu_time: Some(Duration::from_millis(20)),
            log_lines: 3,
            log_bytes: 1024,
            published_events: 4,
            published_bytes: 2048,
        };
        assert_eq!((handler.grants.secrets.len(), handler.grants.environment["TZ"].as_str()), (1, "UTC"));
        assert_eq!((handler.limits, handler.reuse.get()), (expected, 50));
        assert_eq!(handler.grants.config["key"], "value");
        assert_eq!(handler.grants.key_value, [BucketName::new("totals").unwrap()]);
        let subscription = &handler.subscriptions[0];
        assert_eq!((subscription.concurrency, subscription.window), (2, 3));
        assert_eq!(subscription.queue.as_ref().unwrap().as_str(), "q");
        assert_eq!(subscription.retry.attempts, 1);
        assert_eq!(subscription.retry.backoff_limit, Duration::from_millis(2));
        assert_eq!(subscription.order, Order::Header("X-Key".into()));
        assert_eq!(subscription.quarantine, Quarantine { faults: 3, window: Duration::from_secs(5) });
    }

    #[test]
    fn a_subscription_begins_where_it_can() {
        let check = |start: &str, keeps: bool, expected: Result<(), &str>| {
            let handler = read(&format!("name = 'hello'\nsubscriptions = [{{ pattern = 'a', start = '{start}' }}]"));
            let found = check_starts(&handler.unwrap(), keeps, Timestamp::from_millis(1_700_000_000_000));
            assert_eq!(found.map_err(|refusal| refusal.to_string()), expected.map_err(str::to_owned), "{start}");
        };
        check("latest", false, Ok(()));
        check("earliest", true, Ok(()));
        check("2023-11-14T22:13:20Z", true, Ok(()));
        let future = "`subscriptions[0].start` lies in the future; leave it out for what is published from now on";
        check("2023-11-14T22:13:20.001Z", true, Err(future));
        let memory = "`subscriptions[0].start`: this host runs with the memory broker, which keeps no events that are \
                      settled";
        check("earliest", false, Err(memory));
    }

    #[test]
    fn a_refusal_names_the_key() {
        let check = |rest: &str, expected: &str| assert_eq!(read(rest).unwrap_err(), expected);
        check(
            "name = 'Hello'\nsubscriptions = [{ pattern = 'a' }]",
            "`name`: handler name `Hello` has 'H' at byte 0; allowed are a-z, 0-9 and, after the first, -",
        );
        check(
            "name = 'hello'",
            "`subscriptions` is empty: the handler would never be called; add `[[subscriptions]]` with a `pattern`",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a' }, { pattern = 'a..b' }]",
            "`subscriptions[1].pattern`: pattern `a..b` has an empty token",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a' }, { pattern = 'a' }]",
            "`subscriptions[1].pattern`: `a` stands there twice",
        );
        check(
            "name = 'hello'\npublish = ['a', 'b c']\nsubscriptions = [{ pattern = 'a' }]",
            "`publish[1]`: token `b c` of pattern `b c` is neither a name nor a whole `*` or `>`",
        );
        check(
            "name = 'hello'\nhttp = ['a.example']\nsubscriptions = [{ pattern = 'a' }]",
            "`http[0]`: `a.example` does not begin with https:// or http://; write for example \
             `https://api.example.com`, `http://127.0.0.1:8080/hooks` or `GET,POST https://example.com`",
        );
        check(
            "name = 'hello'\nkeyvalue = ['a/b']\nsubscriptions = [{ pattern = 'a' }]",
            "`keyvalue[0]`: bucket `a/b` has '/' at byte 1; allowed are A-Z, a-z, 0-9, ., _ and -",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a', order_by = 'topic' }]",
            "`subscriptions[0].order_by`: `topic` is not `header:` and a header's name",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a', order_by = 'header:' }]",
            "`subscriptions[0].order_by`: a header's name is empty",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a', start = '1h' }]",
            "`subscriptions[0].start`: `1h` is neither `earliest`, `latest` nor a time such as `2026-01-31T12:00:00Z`",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a', quarantine = { window = '0s' } }]",
            "`subscriptions[0].quarantine.window` must be longer than nothing; `faults = 0` is never",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a', quarantine = { faults = 10001 } }]",
            "`subscriptions[0].quarantine.faults`: 10001 is more than 10000; 0 is never",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a' }]\nlimits = { deadline = '0s' }",
            "`limits.deadline` must be longer than nothing",
        );
        check(
            "name = 'hello'\nsecrets = ['a', 'a']\nsubscriptions = [{ pattern = 'a' }]",
            "`secrets[1]`: `a` stands there twice",
        );
        check(
            "name = 'hello'\nsecrets = ['a']\nconfig = { a = 'x' }\nsubscriptions = [{ pattern = 'a' }]",
            "`secrets[0]`: `a` is a key of `[config]` as well",
        );
        check(
            "name = 'hello'\nenvironment = { 'a=b' = 'x' }\nsubscriptions = [{ pattern = 'a' }]",
            "`environment.a=b`: a variable has a name without `=`, and neither it nor its value has a zero byte",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a' }]\nlimits = { published_events = 1001 }",
            "`limits.published_events`: 1001 is more than 1000, as many as one acknowledgement carries",
        );
        check(
            "name = 'hello'\nsubscriptions = [{ pattern = 'a' }]\nlimits = { cpu_time = '0s' }",
            "`limits.cpu_time` must be longer than nothing; leave it out for no limit",
        );
    }
}
