//! The table of all families: name, kind, labels, and where the numbers come from.

use hostel_broker::http::circuit;
use hostel_event::port::PausedBy;

use super::{Family, Kind, LogCounts, Samples, Snapshot};
use crate::observe::meter::{BOUNDS, OUTCOMES};

const TENANT: &[&str] = &["tenant"];
const HANDLER: &[&str] = &["tenant", "handler"];
const SUBSCRIPTION: &[&str] = &["tenant", "handler", "source", "pattern"];

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    write: fn(&Snapshot, &mut Samples<'_>),
) -> Family {
    Family { name, kind: Kind::Counter, labels, help, write }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    write: fn(&Snapshot, &mut Samples<'_>),
) -> Family {
    Family { name, kind: Kind::Gauge, labels, help, write }
}

/// Every family, in the order of the page.
pub(crate) const FAMILIES: &[Family] = &[
    gauge("hostel_build_info", &["version"], "1, with the version of the host", |_, samples| {
        samples.put(&[env!("CARGO_PKG_VERSION")], 1);
    }),
    gauge("hostel_ready", &[], "Whether the host takes events, as /readyz says", |it, samples| {
        samples.put(&[], u8::from(it.is_ready));
    }),
    gauge("process_resident_memory_bytes", &[], "Resident memory of the host", |it, samples| {
        some(samples, it.process.resident);
    }),
    counter("process_cpu_seconds_total", &[], "CPU time of the host, user and system", |it, samples| {
        some(samples, it.process.cpu_seconds);
    }),
    gauge("process_start_time_seconds", &[], "When the host started, in seconds since 1970", |it, samples| {
        some(samples, it.process.started);
    }),
    gauge("process_open_fds", &[], "Open file descriptors", |it, samples| some(samples, it.process.open_files)),
    gauge("process_max_fds", &[], "File descriptors that may be open", |it, samples| {
        some(samples, it.process.most_files);
    }),
    gauge("process_threads", &[], "Threads of the host", |it, samples| some(samples, it.process.threads)),
    gauge("hostel_invocations_running", &[], "Guests that run now", |it, samples| {
        samples.put(&[], it.runtime.running);
    }),
    gauge("hostel_invocations_capacity", &[], "Deliveries that may run at the same time", |it, samples| {
        samples.put(&[], it.capacity);
    }),
    gauge("hostel_warm_instances", &[], "Warm instances that wait for an event", |it, samples| {
        samples.put(&[], it.runtime.warm);
    }),
    counter(
        "hostel_component_loads_total",
        &["code"],
        "Components loaded, by where the code came from",
        |it, samples| {
            samples.put(&["compiled"], it.runtime.compiled);
            samples.put(&["cache"], it.runtime.from_cache);
        },
    ),
    gauge("hostel_broker_memory_bytes", &[], "Bytes of events in memory that are not settled", |it, samples| {
        samples.put(&[], it.broker_bytes);
    }),
    gauge("hostel_log_event_bytes", &[], "Bytes of events that the log keeps", |it, samples| {
        log(it, samples, |log| Some(log.event_bytes));
    }),
    gauge("hostel_log_disk_bytes", &[], "Bytes of the log's files", |it, samples| {
        log(it, samples, |log| Some(log.disk_bytes));
    }),
    gauge("hostel_disk_free_bytes", &[], "Free bytes of the disk that the log is on", |it, samples| {
        log(it, samples, |log| log.free_bytes);
    }),
    gauge("hostel_log_full", &[], "Whether the log refuses events because the disk is full", |it, samples| {
        log(it, samples, |log| Some(u64::from(log.is_full)));
    }),
    gauge("hostel_log_failed", &[], "Whether the log takes nothing until the host is started again", |it, samples| {
        log(it, samples, |log| Some(u64::from(log.is_poisoned)));
    }),
    counter(
        "hostel_log_settled_total",
        &["reason"],
        "Deliveries settled in the log without a handler",
        |it, samples| {
            if let Some(log) = &it.log {
                samples.put(&["expired"], log.expired);
                samples.put(&["gone"], log.gone);
            }
        },
    ),
    gauge("hostel_logbook_lines", &[], "Handlers' log lines in memory", |it, samples| samples.put(&[], it.logbook.0)),
    gauge("hostel_logbook_bytes", &[], "Bytes of handlers' log lines in memory", |it, samples| {
        samples.put(&[], it.logbook.1);
    }),
    gauge("hostel_peers", &["state"], "Nodes of other hosts and programs, by whether they answer", |it, samples| {
        let Some(peers) = &it.peers else { return };
        let open = peers.peers.iter().filter(|peer| peer.circuit != circuit::State::Closed).count();
        samples.put(&["answering"], peers.peers.len() - open);
        samples.put(&["away"], open);
        samples.put(&["beyond_limit"], peers.beyond);
        samples.put(&["malformed"], peers.malformed);
    }),
    // A peer that leaves takes its numbers along, so that this is no counter.
    gauge("hostel_peer_events", &["outcome"], "Events that peers which are there now were sent", |it, samples| {
        let Some(peers) = &it.peers else { return };
        let sum = |count: fn(&hostel_broker::http::courier::Counts) -> u64| -> u64 {
            peers.peers.iter().map(|peer| count(&peer.counts)).sum()
        };
        samples.put(&["delivered"], sum(|counts| counts.delivered));
        samples.put(&["failed"], sum(|counts| counts.failed));
        samples.put(&["dead_letter"], sum(|counts| counts.dead_lettered));
    }),
    counter("hostel_spans_total", &["fate"], "Spans of traces, by what became of them", |it, samples| {
        samples.put(&["exported"], it.traces.exported);
        samples.put(&["dropped"], it.traces.dropped);
        samples.put(&["failed"], it.traces.failed);
    }),
    counter("hostel_events_published_total", TENANT, "Events published", |it, samples| {
        it.published.iter().for_each(|one| samples.put(&[one.tenant.as_str()], one.published));
    }),
    counter("hostel_events_published_bytes_total", TENANT, "Bytes of events published", |it, samples| {
        it.published.iter().for_each(|one| samples.put(&[one.tenant.as_str()], one.published_bytes));
    }),
    counter("hostel_events_refused_total", &["tenant", "reason"], "Messages refused, by reason", |it, samples| {
        it.published.iter().for_each(|one| samples.put(&[one.tenant.as_str(), "overloaded"], one.overloaded));
        it.tenants.iter().for_each(|one| samples.put(&[one.tenant.as_str(), "quota"], one.refused));
    }),
    gauge("hostel_tenant_running", TENANT, "Deliveries of a tenant that run", |it, samples| {
        it.tenants.iter().for_each(|one| samples.put(&[one.tenant.as_str()], one.running));
    }),
    gauge("hostel_tenant_memory_bytes", TENANT, "Memory that what runs of a tenant may reach", |it, samples| {
        it.tenants.iter().for_each(|one| samples.put(&[one.tenant.as_str()], one.memory));
    }),
    gauge("hostel_tenant_throttled", TENANT, "Whether a tenant's quota holds back deliveries", |it, samples| {
        let is_throttled = |one: &hostel_dispatch::driver::TenantState| u8::from(one.throttled_since.is_some());
        it.tenants.iter().for_each(|one| samples.put(&[one.tenant.as_str()], is_throttled(one)));
    }),
    counter(
        "hostel_deliveries_total",
        &["tenant", "handler", "source", "pattern", "outcome"],
        "Deliveries that ended, by outcome",
        |it, samples| {
            for (state, _) in &it.subscriptions {
                let [tenant, handler, source, pattern] = names(state);
                let mut put = |outcome, count| samples.put(&[tenant, handler, source, pattern, outcome], count);
                put("ack", state.counts.acked);
                put("dead_letter", state.counts.dead_lettered);
                put("expired", state.counts.expired);
                put("conflict", state.counts.conflicts);
            }
        },
    ),
    counter(
        "hostel_retries_total",
        SUBSCRIPTION,
        "Attempts that were not the first of their delivery",
        |it, samples| {
            it.subscriptions.iter().for_each(|(state, _)| samples.put(&names(state), state.counts.retried));
        },
    ),
    gauge("hostel_deliveries_waiting", SUBSCRIPTION, "Deliveries that wait for their turn", |it, samples| {
        it.subscriptions.iter().for_each(|(state, view)| samples.put(&names(state), view.waiting));
    }),
    gauge("hostel_deliveries_running", SUBSCRIPTION, "Deliveries that run", |it, samples| {
        it.subscriptions.iter().for_each(|(state, view)| samples.put(&names(state), view.running));
    }),
    gauge("hostel_deliveries_sleeping", SUBSCRIPTION, "Deliveries that wait for their next attempt", |it, samples| {
        it.subscriptions.iter().for_each(|(state, view)| samples.put(&names(state), view.sleeping));
    }),
    gauge(
        "hostel_subscription_paused",
        &["tenant", "handler", "source", "pattern", "by"],
        "Whether a subscription is paused, by an operator or by the host for its faults",
        |it, samples| {
            for (state, _) in &it.subscriptions {
                let [tenant, handler, source, pattern] = names(state);
                let by = state.pause.as_ref().map(|pause| pause.by);
                let mut put = |word, who| {
                    samples.put(&[tenant, handler, source, pattern, word], u8::from(by == Some(who)));
                };
                put("operator", PausedBy::Operator);
                put("quarantine", PausedBy::Quarantine);
            }
        },
    ),
    counter("hostel_attempts_total", &["tenant", "handler", "outcome"], "Attempts, by outcome", |it, samples| {
        for one in &it.handlers {
            for (outcome, count) in OUTCOMES.iter().zip(one.outcomes) {
                samples.put(&[&one.tenant, &one.handler, outcome], count);
            }
        }
    }),
    Family {
        name: "hostel_attempt_duration_seconds",
        kind: Kind::Histogram,
        labels: HANDLER,
        help: "How long attempts took, from before the instance was made",
        write: |it, samples| {
            for one in &it.handlers {
                let bounds = BOUNDS.iter().map(std::time::Duration::as_secs_f64);
                let buckets: Vec<(f64, u64)> = bounds.zip(one.durations).collect();
                let total = (one.sums.attempts, one.sums.wall.as_secs_f64());
                samples.histogram(&[&one.tenant, &one.handler], &buckets, total);
            }
        },
    },
    counter("hostel_handler_cpu_seconds_total", HANDLER, "CPU time of attempts", |it, samples| {
        it.handlers.iter().for_each(|one| samples.put(&[&one.tenant, &one.handler], one.sums.cpu.as_secs_f64()));
    }),
    gauge("hostel_handler_peak_memory_bytes", HANDLER, "The most memory that an attempt held", |it, samples| {
        it.handlers.iter().for_each(|one| samples.put(&[&one.tenant, &one.handler], one.sums.peak_memory));
    }),
    counter("hostel_handler_received_bytes_total", HANDLER, "Bytes given to handlers", |it, samples| {
        it.handlers.iter().for_each(|one| samples.put(&[&one.tenant, &one.handler], one.sums.bytes_in));
    }),
    counter("hostel_handler_sent_bytes_total", HANDLER, "Bytes that handlers gave", |it, samples| {
        it.handlers.iter().for_each(|one| samples.put(&[&one.tenant, &one.handler], one.sums.bytes_out));
    }),
    counter("hostel_handler_calls_total", HANDLER, "HTTP requests that handlers sent", |it, samples| {
        it.handlers.iter().for_each(|one| samples.put(&[&one.tenant, &one.handler], one.sums.calls));
    }),
    counter(
        "hostel_handler_log_lines_total",
        &["tenant", "handler", "fate"],
        "Lines that handlers logged, and those that were cut",
        |it, samples| {
            for one in &it.handlers {
                samples.put(&[&one.tenant, &one.handler, "kept"], one.log_lines);
                samples.put(&[&one.tenant, &one.handler, "cut"], one.log_cut);
            }
        },
    ),
];

fn some(samples: &mut Samples<'_>, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        samples.put(&[], value);
    }
}

fn log(snapshot: &Snapshot, samples: &mut Samples<'_>, value: impl Fn(&LogCounts) -> Option<u64>) {
    some(samples, snapshot.log.as_ref().and_then(value));
}

/// The labels of a subscription: whose it is, which handler's, whose topics, and which.
fn names(state: &hostel_dispatch::driver::State) -> [&str; 4] {
    let subscription = &state.subscription;
    [
        subscription.tenant.as_str(),
        subscription.id.handler(),
        subscription.source.as_str(),
        subscription.pattern.as_str(),
    ]
}
