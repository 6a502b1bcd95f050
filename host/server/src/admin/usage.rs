//! What handlers used, read: of all tenants by the operator, of one by whoever may read there.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use http::{Response, StatusCode, Uri};
use serde::Deserialize;

use hostel_api::problem::Code;
use hostel_api::time::{past, rfc3339};
use hostel_api::usage::{UsagePage, UsageView, csv};
use hostel_event::name::Tenant;
use hostel_event::time::Timestamp;

use super::tenant::InTenant;
use super::{Admin, Answer, Shared};
use crate::answer::{Failure, json, with_type};
use crate::observe::meter::{Hour, Sums};
use crate::observe::usage::{Grouping, Key, Query, ROWS, Span, Unread, page};
use crate::query;
use crate::tenants::NamedBy;

/// Rows in a page unless asked otherwise.
const PAGE: usize = 100;
/// Rows in a page at most.
const PAGE_LIMIT: usize = 1000;
/// How long ago usage is shown from unless asked otherwise.
const STANDARD: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    from: Option<String>,
    to: Option<String>,
    handler: Option<String>,
    group_by: Option<String>,
    #[serde(default)]
    format: Format,
    limit: Option<usize>,
    before: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    /// All rows at once.
    Csv,
}

pub(super) async fn of_host(State(admin): Shared, uri: Uri) -> Answer {
    read(&admin, None, &uri).await
}

pub(super) async fn of_tenant(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    read(&admin, Some(&tenant), &uri).await
}

async fn read(admin: &Admin, tenant: Option<&Tenant>, uri: &Uri) -> Answer {
    let parameters: Parameters = query::parameters(uri)?;
    let now = admin.clock.wall();
    let mut query = asked(&parameters, tenant, now)?;
    if let Some(record) = tenant.and_then(|tenant| admin.access.tenants.get(tenant)) {
        query.from = query.from.max(first_hour(record.named_by, record.created_at));
    }
    let before = parameters.before.as_deref().map(|cursor| Key::parse(cursor).ok_or_else(|| malformed("before")));
    let before = before.transpose()?;
    let (from, to) = (query.from, Hour(query.to.0.saturating_add(1)));
    let rows = admin.usage.read(query).await.map_err(|unread| match unread {
        Unread::TooMany => Failure::new(Code::TooMuchAsked, format!("this is more than {ROWS} rows")),
        Unread::Failed(error) => Failure::internal(&format!("cannot read what was used: {error}")),
    })?;
    let is_csv = parameters.format == Format::Csv;
    let limit = if is_csv { ROWS } else { parameters.limit.unwrap_or(PAGE).clamp(1, PAGE_LIMIT) };
    let (rows, more) = page(&rows, before.as_ref(), limit);
    let next = rows.last().filter(|_| more).map(|(key, _)| key.cursor());
    let items: Vec<UsageView> = rows.into_iter().map(view).collect();
    if is_csv {
        return Ok(table(&items));
    }
    let time = |hour: Hour| rfc3339(hour.begin().as_millis());
    Ok(json(StatusCode::OK, &UsagePage { from: time(from), to: time(to), items, next }))
}

/// The first hour that a tenant may see. What another of the same name used before is not its to see; one that the config
/// names is never another, and was not created at any time that is kept.
fn first_hour(named_by: NamedBy, created_at: Timestamp) -> Hour {
    match named_by {
        NamedBy::Operator => Hour::of(created_at),
        NamedBy::Listener | NamedBy::Config => Hour(0),
    }
}

fn table(items: &[UsageView]) -> Response<Body> {
    with_type(StatusCode::OK, "text/csv; charset=utf-8", Body::from(csv(items)))
}

fn asked(parameters: &Parameters, tenant: Option<&Tenant>, now: Timestamp) -> Result<Query, Failure> {
    let time = |name: &str, text: &Option<String>| match text {
        Some(text) => past(text, now.as_millis())
            .map(|millis| Some(Timestamp::from_millis(millis)))
            .map_err(|error| Failure::new(Code::MalformedQuery, format!("parameter `{name}`: {error}"))),
        None => Ok(None),
    };
    let to = time("to", &parameters.to)?.unwrap_or(now).min(now);
    let day = u64::try_from(STANDARD.as_millis()).unwrap_or(u64::MAX);
    let from = time("from", &parameters.from)?;
    let from = from.unwrap_or_else(|| Timestamp::from_millis(to.as_millis().saturating_sub(day)));
    // An hour that ends where the time does is not part of it.
    let last = Timestamp::from_millis(to.as_millis().saturating_sub(1)).max(from);
    Ok(Query {
        from: Hour::of(from),
        to: Hour::of(last),
        tenant: tenant.map(ToString::to_string),
        handler: parameters.handler.clone(),
        by: grouping(parameters.group_by.as_deref(), tenant.is_none())?,
    })
}

/// Hours and handlers, and of the host tenants, unless asked otherwise.
fn grouping(text: Option<&str>, of_host: bool) -> Result<Grouping, Failure> {
    let Some(text) = text else {
        return Ok(Grouping { time: Some(Span::Hour), tenant: of_host, handler: true });
    };
    let mut by = Grouping { time: None, tenant: false, handler: false };
    for word in text.split(',') {
        match word {
            "hour" if by.time.is_none() => by.time = Some(Span::Hour),
            "day" if by.time.is_none() => by.time = Some(Span::Day),
            "tenant" => by.tenant = true,
            "handler" => by.handler = true,
            "total" if text == "total" => {}
            _ => return Err(malformed("group_by")),
        }
    }
    Ok(by)
}

fn malformed(name: &str) -> Failure {
    let what = match name {
        "group_by" => "write `hour` or `day`, `tenant`, `handler`, several with commas between them, or `total`",
        _ => "not the `next` of a page before",
    };
    Failure::new(Code::MalformedQuery, format!("parameter `{name}`: {what}"))
}

fn view((key, sums): (Key, Sums)) -> UsageView {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    UsageView {
        time: key.hour.map(|hour| rfc3339(hour.begin().as_millis())),
        tenant: key.tenant,
        handler: key.handler,
        events: sums.acked,
        dead_lettered: sums.dead_lettered,
        expired: sums.expired,
        attempts: sums.attempts,
        retries: sums.retries,
        rejects: sums.rejects,
        faults: sums.faults,
        wall_us: micros(sums.wall),
        cpu_us: micros(sums.cpu),
        peak_memory_bytes: sums.peak_memory,
        bytes_in: sums.bytes_in,
        bytes_out: sums.bytes_out,
        calls: sums.calls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const HOUR: u64 = 472_222;

    fn query(text: &str) -> Result<Query, Failure> {
        let uri: Uri = format!("/x?{text}").parse().unwrap();
        asked(&query::parameters(&uri)?, None, NOW)
    }

    #[test]
    fn times_are_whole_hours_of_the_last_day_unless_asked_otherwise() {
        let check = |text: &str, expected: (u64, u64)| {
            let query = query(text).unwrap();
            assert_eq!((query.from.0, query.to.0), expected, "{text}");
        };
        check("", (HOUR - 24, HOUR));
        check("from=2h", (HOUR - 2, HOUR));
        check("from=2023-11-14T20:00:00Z&to=2023-11-14T21:00:00Z", (HOUR - 2, HOUR - 2));
        check("from=2023-11-14T20:30:00Z&to=2023-11-14T21:00:01Z", (HOUR - 2, HOUR - 1));
        check("to=2099-01-01T00:00:00Z", (HOUR - 24, HOUR));
        check("from=2099-01-01T00:00:00Z", (1_130_808, 1_130_808));
    }

    #[test]
    fn a_tenant_that_was_created_sees_nothing_from_before() {
        assert_eq!(first_hour(NamedBy::Operator, NOW), Hour(HOUR));
        assert_eq!(first_hour(NamedBy::Listener, NOW), Hour(0), "it is the same after each start");
    }

    #[test]
    fn rows_are_told_apart_by_what_is_asked_for() {
        let check = |text: &str, time: Option<Span>, tenant: bool, handler: bool| {
            assert_eq!(query(text).unwrap().by, Grouping { time, tenant, handler }, "{text}");
        };
        check("", Some(Span::Hour), true, true);
        check("group_by=day,tenant", Some(Span::Day), true, false);
        check("group_by=total", None, false, false);
        for wrong in ["group_by=", "group_by=week", "group_by=hour,day", "group_by=total,hour", "from=soon", "limt=1"] {
            assert_eq!(query(wrong).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
