//! Who is let in, and whose the listeners are: `[access]`, `[[tenants]]` and `[[ingress.listeners]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use hostel_api::problem::Code;
use hostel_api::tenant::{Export, QuotaDocument, TenantDocument};
use hostel_event::name::{NameError, Tenant};

use super::Config;
use super::load::Mistake;
use crate::tenants::{self, Configured};

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    /// What one must show.
    pub(crate) require: Require,
}

/// What one must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Require {
    /// Nothing: whoever reaches the host may do everything.
    None,
    /// A token.
    Token,
}

impl Default for Access {
    fn default() -> Self {
        Self { require: Require::None }
    }
}

/// A listener beside that of `[ingress]`, which it follows in everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Whose topics it serves.
    pub(crate) tenant: String,
}

/// A tenant that is there without being created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantEntry {
    /// Its name.
    pub(crate) name: String,
    /// How much of the host it may use.
    #[serde(default)]
    pub(crate) quota: QuotaDocument,
    /// Which of its topics others may hear.
    #[serde(default)]
    pub(crate) exports: Vec<Export>,
}

/// What the config says of tenants.
///
/// # Errors
/// A name that is none.
pub(crate) fn configured(config: &Config) -> Result<Configured, NameError> {
    let mut served = BTreeSet::from([Tenant::new(&config.ingress.tenant)?]);
    for listener in &config.ingress.listeners {
        served.insert(Tenant::new(&listener.tenant)?);
    }
    let mut described = BTreeMap::new();
    for entry in &config.tenants {
        let document = TenantDocument { quota: entry.quota.clone(), exports: entry.exports.clone() };
        described.insert(Tenant::new(&entry.name)?, document);
    }
    Ok(Configured { served, described })
}

/// What of it has the right type and still cannot be.
pub(super) fn check(config: &Config, wrong: &mut impl FnMut(bool, &str)) {
    let mut names = BTreeSet::new();
    for (at, entry) in config.tenants.iter().enumerate() {
        match Tenant::new(&entry.name) {
            Err(error) => wrong(true, &format!("`tenants[{at}].name`: {error}")),
            Ok(tenant) => {
                if let Err(error) = tenants::exports(&tenant, &entry.exports) {
                    wrong(true, &format!("`tenants[{at}]`: {error}"));
                }
                let text = format!("`tenants[{at}].name`: `{tenant}` stands there twice");
                wrong(!names.insert(tenant), &text);
            }
        }
    }
    let mut addresses = BTreeSet::from([config.ingress.listen, config.admin.listen]);
    for (at, listener) in config.ingress.listeners.iter().enumerate() {
        if let Err(error) = Tenant::new(&listener.tenant) {
            wrong(true, &format!("`ingress.listeners[{at}].tenant`: {error}"));
        }
        let is_taken = listener.listen.port() != 0 && !addresses.insert(listener.listen);
        wrong(is_taken, &format!("`ingress.listeners[{at}].listen` is that of another listener"));
    }
    let needless = config.ingress.anonymous && config.access.require == Require::None;
    wrong(needless, "`ingress.anonymous` has no effect without `access.require = \"token\"`");
}

/// Listeners that others can reach, where anybody could come in or a token be read on its way.
pub(super) fn exposed(config: &Config) -> Vec<Mistake> {
    let (ingress, admin) = (&config.ingress, &config.admin);
    let mut listeners = vec![
        ("ingress.listen".to_owned(), ingress.listen, ingress.secure, ingress.anonymous),
        ("admin.listen".to_owned(), admin.listen, admin.secure, false),
    ];
    for (at, listener) in ingress.listeners.iter().enumerate() {
        listeners.push((format!("ingress.listeners[{at}].listen"), listener.listen, ingress.secure, false));
    }
    let mut mistakes = Vec::new();
    for (key, address, secure, anonymous) in listeners {
        let table = key.split('.').next().unwrap_or_default();
        let why = match (config.access.require, secure, anonymous) {
            _ if address.ip().is_loopback() => continue,
            (Require::None, ..) => "this host asks nobody who they are; listen on 127.0.0.1, set \
                                    `access.require = \"token\"` and TLS, or say `--allow-remote`"
                .to_owned(),
            (Require::Token, false, _) => {
                format!(
                    "tokens would cross the network in the clear; set `{table}.secure = true`, or say `--allow-remote`"
                )
            }
            (Require::Token, true, true) => {
                "`ingress.anonymous` lets anybody publish by go-micro's endpoint; listen on \
                                             127.0.0.1, or say `--allow-remote`"
                    .to_owned()
            }
            (Require::Token, true, false) => continue,
        };
        let text = format!("`{key}` is {address}, which others can reach, and {why}");
        mistakes.push(Mistake { code: Code::RemoteRefused, text });
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn others_come_in_with_tokens_over_tls_alone() {
        let check = |text: &str, expected: &[&str]| {
            let told: Vec<String> = exposed(&config(text)).into_iter().map(|mistake| mistake.text).collect();
            assert_eq!(told.len(), expected.len(), "{text}: {told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.contains(expected), "{text}: {told}");
            }
        };
        let remote = "[ingress]\nlisten = '0.0.0.0:1'\n";
        let token = "[access]\nrequire = 'token'\n";
        check(remote, &["`ingress.listen` is 0.0.0.0:1, which others can reach, and this host asks nobody"]);
        check(
            &format!("{token}{remote}"),
            &["tokens would cross the network in the clear; set `ingress.secure = true`"],
        );
        check(&format!("{token}{remote}secure = true"), &[]);
        check(&format!("{token}{remote}secure = true\nanonymous = true"), &["lets anybody publish"]);
        check("[access]\nrequire = 'token'\n[admin]\nlisten = '0.0.0.0:1'\nsecure = true", &[]);
        check("[[ingress.listeners]]\nlisten = '0.0.0.0:1'\ntenant = 'acme'", &["`ingress.listeners[0].listen` is"]);
    }

    #[test]
    fn what_cannot_be_is_told_by_its_key() {
        let mistake = |text: &str, expected: &str| {
            let mut told = Vec::new();
            check(&config(text), &mut |wrong, text| told.extend(wrong.then(|| text.to_owned())));
            assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        };
        mistake("[[tenants]]\nname = 'A'", "`tenants[0].name`: tenant `A` has");
        mistake("[[tenants]]\nname = 'a'\n[[tenants]]\nname = 'a'", "`tenants[1].name`: `a` stands there twice");
        let listener = "[[ingress.listeners]]\nlisten = '127.0.0.1:4300'\ntenant = 'a'";
        mistake(listener, "`ingress.listeners[0].listen` is that of another listener");
        mistake("[ingress]\nanonymous = true", "`ingress.anonymous` has no effect");
    }
}
