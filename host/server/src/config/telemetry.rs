//! Who is told what the host does beside its log lines: `[telemetry]`.

use serde::{Deserialize, Serialize};

use crate::observe::traces;

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// The collector of traces, such as `http://127.0.0.1:4318`; empty: none.
    pub(crate) otlp: String,
    /// Of events that bring no trace one in so many has its trace told of; 0: none.
    pub(crate) sample_one_in: u32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp: String::new(), sample_one_in: 1 }
    }
}

impl Telemetry {
    /// The collector's address, if there is one.
    pub(crate) fn collector(&self) -> Option<&str> {
        Some(self.otlp.as_str()).filter(|address| !address.is_empty())
    }
}

/// What of it has the right type and still cannot be.
pub(super) fn check(telemetry: &Telemetry, wrong: &mut impl FnMut(bool, &str)) {
    match telemetry.collector().map(traces::address) {
        Some(Err(error)) => wrong(true, &format!("`telemetry.otlp`: {error}")),
        Some(Ok(_)) => {}
        None => {
            let is_changed = telemetry.sample_one_in != Telemetry::default().sample_one_in;
            wrong(is_changed, "`telemetry.sample_one_in` has no effect without `telemetry.otlp`");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_collector_that_cannot_be_is_told_by_its_key() {
        let check = |text: &str, expected: &[&str]| {
            let mut told = Vec::new();
            super::check(&toml::from_str(text).unwrap(), &mut |wrong, text| {
                told.extend(wrong.then(|| text.to_owned()));
            });
            assert_eq!(told, expected, "{text}");
        };
        check("", &[]);
        check("otlp = 'http://127.0.0.1:4318'\nsample_one_in = 0", &[]);
        check(
            "otlp = 'https://a'",
            &["`telemetry.otlp`: it does not begin with `http://`; TLS is not spoken to collectors yet"],
        );
        check("sample_one_in = 5", &["`telemetry.sample_one_in` has no effect without `telemetry.otlp`"]);
    }
}
