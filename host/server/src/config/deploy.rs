//! What handlers get from the operator's own files: `[deploy]` and `[secrets]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use hostel_event::name::{BucketName, Tenant};

use super::Config;

/// How handlers come without anybody sending them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Deploy {
    /// A folder whose handlers run as they lie there; empty: none.
    pub(crate) watch: PathBuf,
    /// What lies in it.
    pub(crate) watch_layout: WatchLayout,
}

/// What lies in the watched folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WatchLayout {
    /// Handlers, of the tenant of `ingress.tenant`.
    #[default]
    Handlers,
    /// A folder for each tenant, and its handlers in that.
    Tenants,
}

/// Where a secret's value is. One of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecretSource {
    /// A file.
    pub(crate) file: Option<PathBuf>,
    /// A variable of the host's environment.
    pub(crate) env: Option<String>,
}

/// What of it has the right type and still cannot be.
pub(super) fn check(config: &Config, wrong: &mut impl FnMut(bool, &str)) {
    for (tenant, secrets) in &config.secrets {
        if let Err(error) = Tenant::new(tenant) {
            wrong(true, &format!("`secrets.{tenant}`: {error}"));
        }
        for (name, source) in secrets {
            let place = format!("`secrets.{tenant}.{name}`");
            // The rule for names is that of buckets.
            if BucketName::new(name).is_err() {
                wrong(true, &format!("{place}: a secret's name is 1 to 63 bytes of A-Z, a-z, 0-9, ., _ and -"));
            }
            let one = source.file.is_some() != source.env.is_some();
            wrong(!one, &format!("{place}: write either `file` or `env`"));
            let ours = source.env.as_ref().is_some_and(|variable| variable.starts_with("HOSTEL_"));
            wrong(ours, &format!("{place}: variables that begin with `HOSTEL_` are the host's own; name it otherwise"));
        }
    }
    for (at, text) in config.runtime.private_addresses.iter().enumerate() {
        if let Err(error) = text.parse::<hostel_runtime::Network>() {
            wrong(true, &format!("`runtime.private_addresses[{at}]`: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_told_by_its_key() {
        let case = |text: &str, expected: &str| {
            let config: Config = toml::from_str(text).unwrap();
            let mut told = Vec::new();
            check(&config, &mut |wrong, text| told.extend(wrong.then(|| text.to_owned())));
            assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        };
        case("[secrets.A]", "`secrets.A`: tenant `A` has");
        case("[secrets.a]\n'b c' = { env = 'X' }", "`secrets.a.b c`: a secret's name is");
        case("[secrets.a]\nb = {}", "`secrets.a.b`: write either `file` or `env`");
        case("[secrets.a]\nb = { env = 'X', file = 'y' }", "`secrets.a.b`: write either `file` or `env`");
        case("[secrets.a]\nb = { env = 'HOSTEL_X' }", "`secrets.a.b`: variables that begin with");
        case("[runtime]\nprivate_addresses = ['10/8']", "`runtime.private_addresses[0]`: `10/8` is neither");
    }
}
