//! From what an author wrote to what the host runs: every name checked, every default filled in.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use hostel_api::manifest::{self, Manifest};
use hostel_api::unit::ByteSize;
use hostel_event::destination::Destination;
use hostel_event::handler::{Digest, Grants, Handler, Limits};
use hostel_event::headers::Headers;
use hostel_event::name::{BucketName, HandlerName, QueueGroup, Tenant, Version};
use hostel_event::pattern::Pattern;
use hostel_event::subscription::{Order, Place, Quarantine, RetryPolicy, Subscription};

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
    let mut patterns = BTreeSet::new();
    let mut subscriptions = Vec::with_capacity(manifest.subscriptions.len());
    for (at, written) in manifest.subscriptions.iter().enumerate() {
        let subscription = subscription(tenant, &name, written, at)?;
        if !patterns.insert(subscription.pattern.clone()) {
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
    };
    let limits = limits(&manifest.limits)?;
    Ok(Handler { tenant: tenant.clone(), name, version, digest, subscriptions, limits, grants })
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

fn subscription(
    tenant: &Tenant,
    name: &HandlerName,
    written: &manifest::Subscription,
    at: usize,
) -> Result<Subscription, Refusal> {
    let place = |key: &str| format!("subscriptions[{at}].{key}");
    let pattern = Pattern::new(&written.pattern).map_err(|error| Refusal::name(&place("pattern"), &error))?;
    let queue = written.queue.as_deref().map(QueueGroup::new).transpose();
    let standard = Subscription::new(tenant, name, pattern);
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
    let limits = Limits {
        memory: size(written.memory, standard.memory),
        deadline: written.deadline.map_or(standard.deadline, |span| span.0),
        log_lines: written.log_lines.map_or(standard.log_lines, |lines| usize::try_from(lines).unwrap_or(usize::MAX)),
        log_bytes: size(written.log_bytes, standard.log_bytes),
    };
    if limits.deadline.is_zero() {
        return Err(Refusal::Manifest("`limits.deadline` must be longer than nothing".to_owned()));
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
        assert_eq!(handler.grants, Grants::default());
        let pattern = Pattern::new("orders.*").unwrap();
        assert_eq!(handler.subscriptions, [Subscription::new(&handler.tenant, &handler.name, pattern)]);
    }

    #[test]
    fn what_is_written_is_taken() {
        let handler = read(
            "name = 'hello'\nversion = '1.2'\npublish = ['a.>']\nkeyvalue = ['totals']\nconfig = { key = 'value' }\n\
             limits = { memory = '1MiB', deadline = '250ms', log_lines = 3, log_bytes = '1KiB' }\n\
             [[subscriptions]]\npattern = 'a'\nqueue = 'q'\nconcurrency = 2\nwindow = 3\n\
             retry = { attempts = 1, backoff = '1ms', backoff_limit = '2ms' }\norder_by = 'header:X-Key'\n\
             quarantine = { faults = 3, window = '5s' }",
        )
        .unwrap();
        let expected = Limits { memory: 1 << 20, deadline: Duration::from_millis(250), log_lines: 3, log_bytes: 1024 };
        assert_eq!(handler.limits, expected);
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
    }
}
