//! `hostel usage`: what handlers used.

use hostel_api::client::{Client, Owner, UsageQuery};
use hostel_api::usage::{UsageView, csv};

use super::failure::Failure;
use super::{output, table};

/// The flags of `usage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// From when on: a time such as `2026-01-31T12:00:00Z`, or how long ago, such as `30d`; whole hours are counted
    #[arg(long, value_name = "TIME", default_value = "1d")]
    from: String,
    /// Until when; without it until now
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Of one handler
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// By what to tell rows apart: `hour` or `day`, `tenant`, `handler`, several with commas between them, or `total`
    #[arg(long, value_name = "WORDS", default_value = "handler")]
    group_by: String,
    /// Of all tenants and not of one
    #[arg(long)]
    all: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows what was used.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let owner = if arguments.all { Owner::Host } else { Owner::Tenant };
    let group_by = match arguments.group_by.as_str() {
        // Of all tenants, handlers of the same name are not the same.
        "handler" if arguments.all => "tenant,handler",
        words => words,
    };
    let query = UsageQuery {
        from: Some(arguments.from.clone()),
        to: arguments.to.clone(),
        handler: arguments.handler.clone(),
        group_by: Some(group_by.to_owned()),
    };
    let mut rows = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let page = client.usage(owner, &query, before.as_deref()).await?;
        rows.extend(page.items);
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    if arguments.json {
        return output::json(&rows);
    }
    if arguments.csv {
        return output::data(&csv(&rows));
    }
    if rows.is_empty() {
        output::talk("nothing was used in that time");
        return Ok(());
    }
    output::data(&render(&rows))
}

fn render(rows: &[UsageView]) -> String {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |row: &UsageView| {
        [
            dash(&row.time),
            dash(&row.tenant),
            dash(&row.handler),
            row.events.to_string(),
            row.attempts.to_string(),
            (row.retries + row.rejects + row.faults).to_string(),
            row.dead_lettered.to_string(),
            seconds(row.cpu_us),
            seconds(row.wall_us),
            bytes(row.peak_memory_bytes),
            bytes(row.bytes_in),
            bytes(row.bytes_out),
            row.calls.to_string(),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let headings = [
        "TIME",
        "TENANT",
        "HANDLER",
        "EVENTS",
        "ATTEMPTS",
        "FAILED",
        "DEAD",
        "CPU",
        "TIME TAKEN",
        "PEAK",
        "IN",
        "OUT",
        "CALLS",
    ];
    table::render(headings, &rows)
}

/// Microseconds as seconds, to the millisecond.
fn seconds(micros: u64) -> String {
    let millis = micros.div_ceil(1_000);
    format!("{}.{:03}s", millis / 1_000, millis % 1_000)
}

/// Bytes in the largest unit of which there is one, with one digit behind the point.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1_u64 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{}{name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_used_in_units_for_people() {
        let row = UsageView {
            handler: Some("hello".to_owned()),
            events: 90,
            attempts: 101,
            retries: 5,
            rejects: 4,
            faults: 2,
            dead_lettered: 4,
            cpu_us: 1_500,
            wall_us: 61_000_000,
            peak_memory_bytes: 1_600_000,
            bytes_in: 1_000,
            bytes_out: 3 << 30,
            calls: 7,
            ..UsageView::default()
        };
        let expected = "\
TIME  TENANT  HANDLER  EVENTS  ATTEMPTS  FAILED  DEAD  CPU     TIME TAKEN  PEAK    IN     OUT     CALLS
-     -       hello        90       101      11     4  0.002s  61.000s     1.5MiB  1000B  3.0GiB      7
";
        assert_eq!(render(&[row]), expected);
    }
}
