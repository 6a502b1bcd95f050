//! Who is let in, and whose the listeners are: `[access]`, `[[tenants]]` and `[[ingress.listeners]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use hostel_api::problem::Code;
use hostel_api::tenant::{Export, QuotaDocument, TenantDocument};
use hostel_event::name::{NameError, Tenant};

use super::load::{self, Mistake};
use super::{Admin, Config, Ingress, Registry, RegistryKind};
use crate::tenants::{self, Configured};
use crate::tls::clients::Clients;

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

/// Whether a listener's clients must show a certificate, where it asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientCertificates {
    /// Who has none is refused.
    Required,
    /// Who has none may come, and says by a token who it is. One that is shown must be good.
    Optional,
}

/// A listener beside that of `[ingress]`, which it follows in everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Whose topics it serves.
    pub(crate) tenant: String,
    /// Whether go-micro's endpoint is there, for this tenant.
    #[serde(default)]
    pub(crate) go_micro: bool,
    /// The registry of the tenant's go-micro services, which is no other tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<Registry>,
    /// Where those services reach it, as `host:port`; empty: the address that it listens on.
    #[serde(default)]
    pub(crate) advertise: String,
    /// Whether go-micro's endpoint takes messages from anybody though a token is required.
    #[serde(default)]
    pub(crate) anonymous: bool,
    /// The authorities that sign its clients' certificates, PEM; absent: as `[ingress]`; empty: none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Whether its clients must show one; absent: as `[ingress]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificates: Option<ClientCertificates>,
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

/// Which certificates the clients of each listener of the ingress show, in the order in which they are bound.
pub(crate) fn ingress_clients(ingress: &Ingress) -> Vec<Clients<'_>> {
    let main = Clients {
        key: "ingress.client_ca".to_owned(),
        authorities: &ingress.client_ca,
        certificates: ingress.client_certificates,
    };
    let mut clients = vec![main.clone()];
    for (at, listener) in ingress.listeners.iter().enumerate() {
        let (key, authorities) = match &listener.client_ca {
            Some(authorities) => (format!("ingress.listeners[{at}].client_ca"), authorities.as_path()),
            None => (main.key.clone(), main.authorities),
        };
        let certificates = listener.client_certificates.unwrap_or(main.certificates);
        clients.push(Clients { key, authorities, certificates });
    }
    clients
}

/// Which certificates the clients of the admin API show.
pub(crate) fn admin_clients(admin: &Admin) -> Clients<'_> {
    let key = "admin.client_ca".to_owned();
    Clients { key, authorities: &admin.client_ca, certificates: admin.client_certificates }
}

/// What of the clients' certificates cannot be.
fn check_clients(config: &Config, wrong: &mut impl FnMut(bool, &str)) {
    let (ingress, admin) = (&config.ingress, &config.admin);
    let is_empty = |path: &PathBuf| path.as_os_str().is_empty();
    for (table, authorities, certificates, secure) in [
        ("ingress", &ingress.client_ca, ingress.client_certificates, ingress.secure),
        ("admin", &admin.client_ca, admin.client_certificates, admin.secure),
    ] {
        let useless = !is_empty(authorities) && !secure;
        wrong(useless, &format!("`{table}.client_ca` has no effect without `{table}.secure = true`"));
        let useless = is_empty(authorities) && certificates != ClientCertificates::Required;
        // A further listener may ask for one where this does not.
        let useless = useless && (table == "admin" || ingress.listeners.iter().all(|one| one.client_ca.is_none()));
        wrong(useless, &format!("`{table}.client_certificates` has no effect without `{table}.client_ca`"));
    }
    for (at, listener) in ingress.listeners.iter().enumerate() {
        let asks = listener.client_ca.as_ref().is_some_and(|path| !is_empty(path));
        let text = format!("`ingress.listeners[{at}].client_ca` has no effect without `ingress.secure = true`");
        wrong(asks && !ingress.secure, &text);
        let useless = listener.client_certificates.is_some()
            && is_empty(listener.client_ca.as_ref().unwrap_or(&ingress.client_ca));
        wrong(useless, &format!("`ingress.listeners[{at}].client_certificates` has no effect without a `client_ca`"));
    }
}

/// What of go-micro's endpoint at further listeners cannot be.
///
/// go-micro knows no tenants: whoever asks its registry for a topic's subscribers gets all of them. Two tenants in one
/// registry would hear one another's topics, and take from one another's queues.
fn check_go_micro(config: &Config, wrong: &mut impl FnMut(bool, &str)) {
    let mut served = BTreeMap::from([(config.ingress.tenant.as_str(), "ingress".to_owned())]);
    let mut registries = vec![("registry".to_owned(), &config.registry)];
    for (at, listener) in config.ingress.listeners.iter().enumerate() {
        let table = format!("ingress.listeners[{at}]");
        let useless = match listener {
            Listener { go_micro: true, .. } => None,
            Listener { registry: Some(_), .. } => Some("registry"),
            Listener { anonymous: true, .. } => Some("anonymous"),
            Listener { advertise, .. } => (!advertise.is_empty()).then_some("advertise"),
        };
        if let Some(key) = useless {
            wrong(true, &format!("`{table}.{key}` has no effect without `go_micro = true`"));
        }
        if !listener.go_micro {
            continue;
        }
        let needless = listener.anonymous && config.access.require == Require::None;
        wrong(needless, &format!("`{table}.anonymous` has no effect without `access.require = \"token\"`"));
        if let Some(other) = served.insert(&listener.tenant, table.clone()) {
            let tenant = &listener.tenant;
            wrong(
                true,
                &format!("`{table}.go_micro`: go-micro's endpoint of tenant `{tenant}` is at `{other}` already"),
            );
        }
        load::check_address(&format!("{table}.advertise"), &listener.advertise, wrong);
        let Some(registry) = &listener.registry else {
            wrong(
                true,
                &format!(
                    "`{table}.registry` must say where the tenant's go-micro services are: they know no tenants, so each \
                     has a registry of its own"
                ),
            );
            continue;
        };
        let name = format!("{table}.registry");
        load::check_registry(config, &name, registry, wrong);
        let unseen = registry.kind == RegistryKind::Memory;
        wrong(
            unseen,
            &format!("`{name}.use` must be `mdns` or `http`: nobody else could ask one in this host's memory"),
        );
        if let Some((other, _)) = registries.iter().find(|(_, other)| registry.may_be(other)) {
            wrong(
                true,
                &format!(
                    "`{name}` may be the same as `{other}`, and the topics of two tenants would be one: give it another \
                     `address`, or name another `interface` in each"
                ),
            );
        }
        registries.push((name, registry));
    }
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
    check_clients(config, wrong);
    let needless = config.ingress.anonymous && config.access.require == Require::None;
    wrong(needless, "`ingress.anonymous` has no effect without `access.require = \"token\"`");
    check_go_micro(config, wrong);
}

/// Listeners that others can reach, where anybody could come in or a token be read on its way; and registries that a
/// token goes to so that others can read it.
pub(super) fn exposed(config: &Config) -> Vec<Mistake> {
    let (ingress, admin) = (&config.ingress, &config.admin);
    let mut listeners = vec![
        ("ingress.listen".to_owned(), ingress.listen, ingress.secure, ingress.anonymous),
        ("admin.listen".to_owned(), admin.listen, admin.secure, false),
    ];
    for (at, listener) in ingress.listeners.iter().enumerate() {
        listeners.push((
            format!("ingress.listeners[{at}].listen"),
            listener.listen,
            ingress.secure,
            listener.anonymous,
        ));
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
                let owner = key.trim_end_matches("listen");
                format!(
                    "`{owner}anonymous` lets anybody publish by go-micro's endpoint; listen on 127.0.0.1, or say \
                     `--allow-remote`"
                )
            }
            (Require::Token, true, false) => continue,
        };
        let text = format!("`{key}` is {address}, which others can reach, and {why}");
        mistakes.push(Mistake { code: Code::RemoteRefused, text });
    }
    let further = ingress.listeners.iter().enumerate();
    let further = further
        .filter_map(|(at, listener)| Some((format!("ingress.listeners[{at}].registry"), listener.registry.as_ref()?)));
    for (table, registry) in std::iter::once(("registry".to_owned(), &config.registry)).chain(further) {
        if registry.shows_token_to_all() {
            let text = format!(
                "the token of `{table}.token_file` would cross the network in the clear; begin `{table}.address` with \
                 `https://`, or say `--allow-remote`"
            );
            mistakes.push(Mistake { code: Code::RemoteRefused, text });
        }
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
        let at = |address| format!("[registry]\nuse = 'http'\ntoken_file = 't'\naddress = '{address}'");
        for address in ["192.0.2.5:4301", "http://192.0.2.5:4301/", "http://registry:4301", "[2001:db8::1]:4301"] {
            check(&at(address), &["the token of `registry.token_file` would cross the network in the clear"]);
        }
        for address in ["127.0.0.1:4301", "http://localhost:4301", "http://[::1]:4301", "https://192.0.2.5:4301"] {
            check(&at(address), &[]);
        }
    }

    #[test]
    fn a_further_listener_asks_for_certificates_as_the_first_does_unless_it_says_otherwise() {
        let text = "[ingress]\nsecure = true\nclient_ca = 'a'\n\
                    [[ingress.listeners]]\nlisten = '127.0.0.1:1'\ntenant = 'a'\n\
                    [[ingress.listeners]]\nlisten = '127.0.0.1:2'\ntenant = 'a'\nclient_ca = 'b'\n\
                    client_certificates = 'optional'\n\
                    [[ingress.listeners]]\nlisten = '127.0.0.1:3'\ntenant = 'a'\nclient_ca = ''\n";
        let config = config(text);
        let clients = ingress_clients(&config.ingress);
        let found: Vec<_> =
            clients.iter().map(|one| (one.authorities.display().to_string(), one.certificates)).collect();
        let (required, optional) = (ClientCertificates::Required, ClientCertificates::Optional);
        let expected = [("a", required), ("a", required), ("b", optional), ("", required)];
        assert_eq!(found, expected.map(|(path, certificates)| (path.to_owned(), certificates)));
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
        let alone = "[[ingress.listeners]]\nlisten = '127.0.0.1:1'\ntenant = 'a'\n";
        mistake(&format!("{alone}advertise = 'a:1'"), "`ingress.listeners[0].advertise` has no effect without");
        let served = format!("{alone}go_micro = true\n");
        mistake(&served, "`ingress.listeners[0].registry` must say where");
        let with = |registry: &str| format!("{served}registry = {registry}\n");
        mistake(&with("{ use = 'memory' }"), "`ingress.listeners[0].registry.use` must be `mdns` or `http`");
        let plain = "{ use = 'http', address = '127.0.0.1:4311', ca = 'ca.pem' }";
        mistake(&with(plain), "`ingress.listeners[0].registry.ca` has no effect unless");
        mistake(&with("{ use = 'http' }"), "`ingress.listeners[0].registry.use` is `http`, so");
        let far = "{ use = 'http', address = 'http://192.0.2.1:4301' }";
        let same = format!("[registry]\nuse = 'http'\naddress = '192.0.2.1:4301/'\n{}", with(far));
        mistake(&same, "`ingress.listeners[0].registry` may be the same as `registry`");
        let mdns = "{ use = 'mdns', interface = 'a' }";
        let same = format!("[registry]\nuse = 'mdns'\n{}", with(mdns));
        mistake(&same, "`ingress.listeners[0].registry` may be the same as `registry`");
        let same = format!("ingress.tenant = 'a'\n{}", with(mdns));
        mistake(&same, "`ingress.listeners[0].go_micro`: go-micro's endpoint of tenant `a` is at `ingress` already");
        let apart = format!("[registry]\nuse = 'mdns'\ninterface = 'b'\n{}", with(mdns));
        check(&config(&apart), &mut |wrong, text| assert!(!wrong, "{text}"));
        mistake("[admin]\nclient_ca = 'a'", "`admin.client_ca` has no effect without `admin.secure = true`");
        mistake("[ingress]\nclient_certificates = 'optional'", "`ingress.client_certificates` has no effect without");
        let listener = "[[ingress.listeners]]\nlisten = '127.0.0.1:1'\ntenant = 'a'\n";
        mistake(&format!("{listener}client_ca = 'a'"), "`ingress.listeners[0].client_ca` has no effect without");
        let text = format!("{listener}client_certificates = 'required'");
        mistake(&text, "`ingress.listeners[0].client_certificates` has no effect");
    }
}
