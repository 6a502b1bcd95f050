//! What handlers used, as the API tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was used, in the order of time, tenant and handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsagePage {
    /// When the first hour that was asked for begins.
    pub from: String,
    /// When the last one ends.
    pub to: String,
    /// This part.
    pub items: Vec<UsageView>,
    /// What to ask for as `before` to get the next part; `None` after the last.
    pub next: Option<String>,
}

/// What was used in one group of those that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageView {
    /// When the hour or the day begins; absent if times are summed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Whose handlers; absent if tenants are summed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Which handler; absent if handlers are summed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Events that were acknowledged.
    pub events: u64,
    /// Events that became dead letters.
    pub dead_lettered: u64,
    /// Events that expired before their turn came.
    pub expired: u64,
    /// Attempts, those that succeeded and the others below.
    pub attempts: u64,
    /// Attempts whose handler asked for another.
    pub retries: u64,
    /// Attempts whose handler gave the event up.
    pub rejects: u64,
    /// Attempts that the host ended, or that trapped.
    pub faults: u64,
    /// How long attempts took, in microseconds.
    pub wall_us: u64,
    /// How long they computed, in microseconds.
    pub cpu_us: u64,
    /// The most memory that any attempt held, in bytes.
    pub peak_memory_bytes: u64,
    /// Bytes that handlers were given.
    pub bytes_in: u64,
    /// Bytes that handlers gave.
    pub bytes_out: u64,
    /// HTTP requests that handlers sent.
    pub calls: u64,
}

/// The columns of the CSV.
const COLUMNS: &str = "time,tenant,handler,events,dead_lettered,expired,attempts,retries,rejects,faults,wall_us,cpu_us,\
                       peak_memory_bytes,bytes_in,bytes_out,calls";

/// Rows as CSV with a line of headings (RFC 4180, with bare line feeds). No name, time or number needs quotes; what rows
/// are summed up over is empty.
#[must_use]
pub fn csv(rows: &[UsageView]) -> String {
    let mut text = format!("{COLUMNS}\n");
    for row in rows {
        for name in [&row.time, &row.tenant, &row.handler] {
            text.push_str(name.as_deref().unwrap_or_default());
            text.push(',');
        }
        let numbers = [
            row.events,
            row.dead_lettered,
            row.expired,
            row.attempts,
            row.retries,
            row.rejects,
            row.faults,
            row.wall_us,
            row.cpu_us,
            row.peak_memory_bytes,
            row.bytes_in,
            row.bytes_out,
            row.calls,
        ];
        text.push_str(&numbers.map(|number| number.to_string()).join(","));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_every_column() {
        let row = UsageView {
            time: Some("2026-01-01T00:00:00.000Z".to_owned()),
            handler: Some("h".to_owned()),
            events: 1,
            calls: 13,
            ..UsageView::default()
        };
        let text = csv(&[row]);
        let expected = "2026-01-01T00:00:00.000Z,,h,1,0,0,0,0,0,0,0,0,0,0,0,13";
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines, [COLUMNS, expected]);
        assert_eq!(COLUMNS.split(',').count(), expected.split(',').count());
        // The columns are the fields, in their order.
        let fields = serde_json::to_string(&UsageView {
            tenant: Some(String::new()),
            time: Some(String::new()),
            handler: Some(String::new()),
            ..UsageView::default()
        })
        .unwrap();
        let places: Vec<_> = COLUMNS.split(',').map(|name| fields.find(&format!("\"{name}\":"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{fields}");
    }
}
