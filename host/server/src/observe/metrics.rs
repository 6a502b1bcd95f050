//! `/metrics`: everything that the host counts, as Prometheus reads it.
//!
//! All families stand in one table, [`FAMILIES`], and in `docs/observability.md`. Nothing is counted for this page: the
//! numbers are those that the parts of the host keep anyway, looked at when they are asked for. Labels are names that
//! somebody deployed or created, and words of the host: never ids, topics or texts of errors.

mod families;

use std::fmt::{Display, Write as _};

use hostel_api::view::SubscriptionView;
use hostel_broker::http::peers;
use hostel_dispatch::driver::{State, TenantState};
use hostel_event::name::Tenant;

use super::meter::{HandlerCounts, TenantCounts};
use super::process::Process;
use super::traces;

pub(crate) use families::FAMILIES;

/// The media type of the text.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family is, in Prometheus' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One name, and what is told under it.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// One that is told by tenant has `tenant` first.
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
    pub(crate) write: fn(&Snapshot, &mut Samples<'_>),
}

/// The host at one moment.
pub(crate) struct Snapshot {
    pub(crate) process: Process,
    pub(crate) is_ready: bool,
    pub(crate) runtime: hostel_runtime::Counts,
    pub(crate) capacity: usize,
    /// Bytes of events in memory.
    pub(crate) broker_bytes: usize,
    pub(crate) log: Option<LogCounts>,
    /// Lines and bytes in the book.
    pub(crate) logbook: (usize, usize),
    pub(crate) peers: Option<peers::State>,
    pub(crate) published: Vec<TenantCounts>,
    pub(crate) tenants: Vec<TenantState>,
    pub(crate) subscriptions: Vec<(State, SubscriptionView)>,
    pub(crate) handlers: Vec<HandlerCounts>,
    pub(crate) traces: traces::Counts,
}

/// The log below the durable broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogCounts {
    pub(crate) event_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) is_full: bool,
    pub(crate) is_poisoned: bool,
    /// Deliveries that were settled without a handler: their event had expired, or retention had dropped it.
    pub(crate) expired: u64,
    pub(crate) gone: u64,
}

/// The page; of one tenant alone if given, and then without what is the host's.
pub(crate) fn render(snapshot: &Snapshot, only: Option<&Tenant>) -> String {
    let mut text = String::new();
    for family in FAMILIES {
        if only.is_some() && family.labels.first() != Some(&"tenant") {
            continue;
        }
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let Family { name, help, .. } = family;
        // Writing to a string cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        (family.write)(snapshot, &mut Samples { text: &mut text, family, only: only.map(Tenant::as_str) });
    }
    text
}

/// Where a family writes its samples.
pub(crate) struct Samples<'a> {
    text: &'a mut String,
    family: &'a Family,
    only: Option<&'a str>,
}

impl Samples<'_> {
    /// One sample, with a value for each label of the family.
    pub(crate) fn put(&mut self, labels: &[&str], value: impl Display) {
        if self.is_meant(labels) {
            self.line("", labels, None, &value);
        }
    }

    /// A histogram: how many were in each bucket, their upper bounds in seconds, how many there were, and their sum.
    pub(crate) fn histogram(&mut self, labels: &[&str], buckets: &[(f64, u64)], (count, sum): (u64, f64)) {
        if !self.is_meant(labels) {
            return;
        }
        let mut below = 0;
        for (bound, in_bucket) in buckets {
            below += in_bucket;
            self.line("_bucket", labels, Some(&bound.to_string()), &below);
        }
        self.line("_bucket", labels, Some("+Inf"), &count);
        self.line("_sum", labels, None, &sum);
        self.line("_count", labels, None, &count);
    }

    fn is_meant(&self, labels: &[&str]) -> bool {
        self.only.is_none_or(|only| labels.first() == Some(&only))
    }

    fn line(&mut self, suffix: &str, labels: &[&str], bound: Option<&str>, value: &dyn Display) {
        let Self { text, family, .. } = self;
        text.push_str(family.name);
        text.push_str(suffix);
        let mut separator = '{';
        let bound = bound.map(|bound| ("le", bound));
        for (name, value) in family.labels.iter().copied().zip(labels.iter().copied()).chain(bound) {
            text.push(separator);
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
            separator = ',';
        }
        if separator == ',' {
            text.push('}');
        }
        // As above.
        let _ = writeln!(text, " {value}");
    }
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let tenant = |name: &str, published| TenantCounts {
            tenant: Tenant::new(name).unwrap(),
            published,
            published_bytes: 10,
            overloaded: 0,
        };
        let handler = |tenant: &str| HandlerCounts {
            tenant: tenant.to_owned(),
            handler: "h".to_owned(),
            outcomes: [3, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            durations: [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ..HandlerCounts::default()
        };
        let mut handlers = vec![handler("acme"), handler("globex")];
        for handler in &mut handlers {
            handler.sums.attempts = 4;
            handler.sums.wall = std::time::Duration::from_millis(20_250);
        }
        Snapshot {
            process: Process::default(),
            is_ready: true,
            runtime: hostel_runtime::Counts::default(),
            capacity: 8,
            broker_bytes: 0,
            log: None,
            logbook: (0, 0),
            peers: None,
            published: vec![tenant("acme", 5), tenant("globex", 7)],
            tenants: Vec::new(),
            subscriptions: Vec::new(),
            handlers,
            traces: traces::Counts::default(),
        }
    }

    #[test]
    fn a_histogram_counts_up_and_ends_with_everything() {
        let text = render(&snapshot(), None);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("hostel_attempt_duration")).collect();
        let at = |at: usize| lines[at].strip_prefix("hostel_attempt_duration_seconds").unwrap();
        assert_eq!(at(0), r#"_bucket{tenant="acme",handler="h",le="0.0005"} 1"#);
        assert_eq!(at(2), r#"_bucket{tenant="acme",handler="h",le="0.0025"} 3"#);
        assert_eq!(at(14), r#"_bucket{tenant="acme",handler="h",le="+Inf"} 4"#);
        assert_eq!(at(15), r#"_sum{tenant="acme",handler="h"} 20.25"#);
        assert_eq!(at(16), r#"_count{tenant="acme",handler="h"} 4"#);
    }

    #[test]
    fn a_tenant_sees_its_own_and_nothing_of_the_host() {
        let text = render(&snapshot(), Some(&Tenant::new("acme").unwrap()));
        assert!(text.contains(r#"hostel_events_published_total{tenant="acme"} 5"#), "{text}");
        for foreign in ["globex", "process_", "hostel_invocations", "hostel_build_info"] {
            assert!(!text.contains(foreign), "{foreign}: {text}");
        }
    }

    #[test]
    fn what_would_end_a_label_is_escaped() {
        let mut text = String::new();
        escape(&mut text, "a\"b\\c\nd");
        assert_eq!(text, r#"a\"b\\c\nd"#);
    }

    #[test]
    fn names_and_labels_are_those_that_prometheus_takes() {
        let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let mut names = std::collections::HashSet::new();
        for family in FAMILIES {
            assert!(is_name(family.name) && names.insert(family.name), "{}", family.name);
            assert!(family.labels.iter().all(|label| is_name(label)), "{}", family.name);
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert!(!family.help.contains(['\n', '\\']) && !family.help.ends_with('.'), "{}", family.name);
        }
    }
}
