//! Reading the config: file, environment and flags laid over one another, every mistake found before anything starts.
//!
//! An environment variable is `HOSTEL_` and the key with its table, `HOSTEL_INGRESS_LISTEN` for `listen` in
//! `[ingress]`. The keys themselves come from the default config, so there is no second list of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostel_api::document::{self, DocumentError};
use hostel_api::problem::Code;
use hostel_api::suggest;
use toml::{Table, Value};

use super::{Config, RegistryKind, access, broker, deploy, telemetry};

/// Variables of this prefix that the command line reads and the config does not.
const NOT_CONFIG: [&str; 9] = [
    "HOSTEL_CONFIG",
    "HOSTEL_ADMIN_URL",
    "HOSTEL_INGRESS_URL",
    "HOSTEL_TENANT",
    "HOSTEL_TOKEN",
    "HOSTEL_TOKEN_FILE",
    "HOSTEL_CA",
    "HOSTEL_CLIENT_CERTIFICATE",
    "HOSTEL_CLIENT_KEY",
];
const PREFIX: &str = "HOSTEL_";
/// The variables of go-micro's users, with the key of ours that each sets. Ours wins where both are given.
const GO_MICRO: [(&str, &str, Unit); 7] = [
    ("MICRO_REGISTRY", "registry.use", Unit::Text),
    ("MICRO_REGISTRY_ADDRESS", "registry.address", Unit::Text),
    ("MICRO_REGISTER_TTL", "registry.ttl", Unit::Seconds),
    ("MICRO_REGISTER_INTERVAL", "registry.interval", Unit::Seconds),
    ("MICRO_BROKER", "peers.use", Unit::Text),
    ("MICRO_BROKER_ADDRESS", "ingress.listen", Unit::Text),
    ("MICRO_SERVER_NAME", "peers.name", Unit::Text),
];

/// How go-micro writes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Text,
    /// A bare number of seconds. A value with its unit, as ours are, is taken too.
    Seconds,
}

/// Where the parts of a config come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The file; its absence is an error.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Keys that flags set, such as `ingress.listen`, with their values.
    pub(crate) flags: Vec<(&'static str, Value)>,
    /// Whether listening beyond loopback is allowed.
    pub(crate) allow_remote: bool,
}

/// A mistake in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Which kind.
    pub(crate) code: Code,
    /// What is wrong and where.
    pub(crate) text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a config.
///
/// # Errors
/// Every mistake that was found; never an empty list.
pub(crate) fn load(sources: &Sources) -> Result<Config, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut table = sources.file.as_deref().map_or_else(|| Ok(Table::new()), read).unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Table::new()
    });
    let keys = keys();
    let (ours, others): (Vec<_>, Vec<_>) = sources.environment.iter().partition(|(name, _)| name.starts_with(PREFIX));
    // What comes later wins.
    for (name, text) in others.into_iter().chain(ours) {
        match from_environment(&keys, name, text) {
            Ok(Some((key, value))) => set(&mut table, key, value),
            Ok(None) => {}
            Err(mistake) => mistakes.push(mistake),
        }
    }
    for (key, value) in &sources.flags {
        set(&mut table, key, value.clone());
    }
    match table.try_into() {
        Ok(config) => {
            mistakes.extend(check(&config, sources.allow_remote));
            if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
        }
        Err(error) => {
            // Each layer was proven good by itself, so this one is of the flags.
            mistakes.push(bad(error.message().to_owned()));
            Err(mistakes)
        }
    }
}

/// A file, proven good by itself: so a mistake in it is blamed on it, with its line.
fn read(path: &Path) -> Result<Table, Mistake> {
    let text = std::fs::read_to_string(path).map_err(|error| Mistake {
        code: Code::ConfigUnreadable,
        text: format!("cannot read `{}`: {error}", path.display()),
    })?;
    document::from_toml::<Config>(&text, &path.display().to_string()).map_err(|error| mistake(&error))?;
    text.parse::<Table>().map_err(|error| bad(error.to_string()))
}

fn mistake(error: &DocumentError) -> Mistake {
    let code = match error.mistake {
        document::Mistake::UnknownKey => Code::UnknownConfigKey,
        _ => Code::BadConfigValue,
    };
    Mistake { code, text: error.to_string() }
}

fn bad(text: String) -> Mistake {
    Mistake { code: Code::BadConfigValue, text }
}

/// Every key, with its table.
fn keys() -> Vec<(String, Value)> {
    let Ok(Value::Table(defaults)) = Value::try_from(Config::default()) else { return Vec::new() };
    let mut keys = Vec::new();
    for (name, value) in defaults {
        match value {
            Value::Table(table) => keys.extend(table.into_iter().map(|(key, value)| (format!("{name}.{key}"), value))),
            value => keys.push((name, value)),
        }
    }
    keys
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn from_environment<'a>(
    keys: &'a [(String, Value)],
    name: &str,
    text: &str,
) -> Result<Option<(&'a str, Value)>, Mistake> {
    let go_micro = GO_MICRO.iter().find(|(known, ..)| *known == name);
    if go_micro.is_none() && (!name.starts_with(PREFIX) || NOT_CONFIG.contains(&name)) {
        return Ok(None);
    }
    let text = &match go_micro {
        Some((_, _, Unit::Seconds)) => in_seconds(text),
        _ => text.to_owned(),
    };
    let is_it = |key: &str| go_micro.map_or_else(|| variable(key) == name, |(_, ours, _)| *ours == key);
    let Some((key, default)) = keys.iter().find(|(key, _)| is_it(key)) else {
        let names: Vec<String> = keys.iter().map(|(key, _)| variable(key)).collect();
        let advice = match suggest::nearest(name, names.iter().map(String::as_str)) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "`hostel serve --help` tells where the keys are described".to_owned(),
        };
        let text = format!("unknown variable `{name}` in the environment; {advice}");
        return Err(Mistake { code: Code::UnknownConfigKey, text });
    };
    // A number or a list is read as TOML; whatever else is asked for is a text.
    let value = match default {
        Value::String(_) => Value::String(text.to_owned()),
        _ => toml_value(text).unwrap_or_else(|| Value::String(text.to_owned())),
    };
    let mut alone = Table::new();
    set(&mut alone, key, value.clone());
    match document::from_toml::<Config>(&alone.to_string(), name) {
        Ok(_) => Ok(Some((key, value))),
        Err(error) => Err(bad(format!("`{name}` in the environment: {}", error.what))),
    }
}

/// A bare number as seconds; anything else as it is.
pub(crate) fn in_seconds(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{text}s")
    } else {
        text.to_owned()
    }
}

fn toml_value(text: &str) -> Option<Value> {
    format!("value = {text}").parse::<Table>().ok()?.remove("value")
}

fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((name, key)) => {
            let inner = table.entry(name.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                inner.insert(key.to_owned(), value);
            }
        }
    }
}

/// What has the right type and still cannot be.
fn check(config: &Config, allow_remote: bool) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut wrong = |wrong: bool, text: &str| {
        if wrong {
            mistakes.push(Mistake { code: Code::BadConfigValue, text: text.to_owned() });
        }
    };
    wrong(config.runtime.invocations == 0, "`runtime.invocations` must be at least 1");
    wrong(config.runtime.memory_limit.0 < 65_536, "`runtime.memory_limit` must be at least 64KiB, one page");
    wrong(
        config.runtime.memory_limit.0 > 4 << 30,
        "`runtime.memory_limit` must be at most 4GiB, what a guest can address",
    );
    wrong(config.ingress.connections == 0, "`ingress.connections` must be at least 1");
    wrong(config.admin.connections == 0, "`admin.connections` must be at least 1");
    wrong(
        config.ingress.message_limit.0 > config.broker.memory.0,
        "`broker.memory` must hold one message of `ingress.message_limit`",
    );
    let (ingress, admin) = (config.ingress.listen, config.admin.listen);
    wrong(ingress == admin && ingress.port() != 0, "`ingress.listen` and `admin.listen` must differ");
    if let Err(error) = hostel_event::name::Tenant::new(&config.ingress.tenant) {
        wrong(true, &format!("`ingress.tenant`: {error}"));
    }
    let (ingress_tls, admin_tls) = (&config.ingress, &config.admin);
    for (table, certificate, key, secure) in [
        ("ingress", &ingress_tls.certificate, &ingress_tls.key, ingress_tls.secure),
        ("admin", &admin_tls.certificate, &admin_tls.key, admin_tls.secure),
    ] {
        let given = [certificate, key].map(|path| !path.as_os_str().is_empty());
        wrong(given[0] != given[1], &format!("`{table}.certificate` and `{table}.key` go together"));
        let useless = given[0] && !secure;
        wrong(useless, &format!("`{table}.certificate` has no effect without `{table}.secure = true`"));
    }
    access::check(config, &mut wrong);
    deploy::check(config, &mut wrong);
    check_peers(config, &mut wrong);
    broker::check(&config.broker, &mut wrong);
    telemetry::check(&config.telemetry, &mut wrong);
    if let Err(error) = config.log.filter.parse::<tracing_subscriber::EnvFilter>() {
        wrong(true, &format!("`log.filter`: {error}"));
    }
    if !allow_remote {
        mistakes.extend(access::exposed(config));
    }
    mistakes
}

/// What of the registry and the peers cannot be.
fn check_peers(config: &Config, wrong: &mut impl FnMut(bool, &str)) {
    let peers = &config.peers;
    check_registry(config, "registry", &config.registry, wrong);
    check_pair("peers", [&peers.client_certificate, &peers.client_key], wrong);
    wrong(peers.concurrency == 0, "`peers.concurrency` must be at least 1");
    wrong(peers.hops == 0, "`peers.hops` must be at least 1");
    wrong(peers.nodes == 0, "`peers.nodes` must be at least 1");
    wrong(
        peers.name.is_empty() || peers.name.contains(['/', '.', ' ']),
        "`peers.name` must be a name without `/`, `.` and spaces",
    );
    check_address("peers.advertise", &peers.advertise, wrong);
}

/// What of the registry in a table cannot be.
pub(super) fn check_registry(
    config: &Config,
    table: &str,
    registry: &super::Registry,
    wrong: &mut impl FnMut(bool, &str),
) {
    let mut wrong = |is_wrong: bool, text: &str| wrong(is_wrong, &text.replace("{}", table));
    let seconds = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
    wrong(!seconds.contains(&registry.ttl.0), "`{}.ttl` must be between 1s and 1d");
    wrong(registry.interval.0 >= registry.ttl.0, "`{}.interval` must be shorter than `{}.ttl`");
    wrong(registry.interval.0.is_zero(), "`{}.interval` must be longer than 0s");
    let http = registry.kind == RegistryKind::Http;
    wrong(
        http && registry.address.is_empty(),
        "`{}.use` is `http`, so `{}.address` must say where: the URL of a host's admin API, such as \
         `http://192.0.2.5:4301`",
    );
    let of_http =
        [("address", registry.address.is_empty()), ("token_file", registry.token_file.as_os_str().is_empty())];
    let of_tls = [
        ("ca", registry.ca.as_os_str().is_empty()),
        ("client_certificate", registry.client_certificate.as_os_str().is_empty()),
        ("client_key", registry.client_key.as_os_str().is_empty()),
    ];
    for (key, is_empty) in of_http.into_iter().chain(of_tls) {
        wrong(!http && !is_empty, &format!("`{{}}.{key}` is for `{{}}.use = \"http\"` alone"));
    }
    let plain = http && !registry.is_secure();
    for (key, is_empty) in of_tls {
        let text = "has no effect unless `{}.address` begins with `https://`";
        wrong(plain && !is_empty, &format!("`{{}}.{key}` {text}"));
    }
    let host = registry.place();
    let is_own = host.parse() == Ok(config.admin.listen) || host == format!("localhost:{}", config.admin.listen.port());
    wrong(http && is_own, "`{}.address` is this host's own; use `{}.use = \"memory\"` to be the registry");
    let mdns = registry.kind == RegistryKind::Mdns;
    wrong(!mdns && !registry.interface.is_empty(), "`{}.interface` is for `{}.use = \"mdns\"` alone");
    check_pair(table, [&registry.client_certificate, &registry.client_key], &mut wrong);
}

fn check_pair(table: &str, [certificate, key]: [&PathBuf; 2], wrong: &mut impl FnMut(bool, &str)) {
    let halved = certificate.as_os_str().is_empty() != key.as_os_str().is_empty();
    wrong(halved, &format!("`{table}.client_certificate` and `{table}.client_key` go together"));
}

/// Where peers are told to reach a listener.
pub(super) fn check_address(key: &str, advertise: &str, wrong: &mut impl FnMut(bool, &str)) {
    let port = advertise.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let unusable = !advertise.is_empty() && port.is_none_or(|port| port == 0);
    wrong(unusable, &format!("`{key}` must be `host:port`, where peers reach the ingress"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<Config, Vec<Mistake>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hostel.toml");
        std::fs::write(&file, text).unwrap();
        load(&Sources { file: Some(file), ..Sources::default() })
    }

    fn texts(result: Result<Config, Vec<Mistake>>) -> Vec<String> {
        let mistakes = result.unwrap_err();
        mistakes.iter().map(|mistake| format!("{}: {}", mistake.code, strip_folder(&mistake.text))).collect()
    }

    /// The text without the temporary folder that a file stands in.
    fn strip_folder(text: &str) -> String {
        match text.split_once("/hostel.toml") {
            Some((before, after)) => {
                let words = before.rsplit_once(['`', ' ']).map_or(0, |(words, _)| words.len() + 1);
                format!("{}hostel.toml{after}", before.chars().take(words).collect::<String>())
            }
            None => text.to_owned(),
        }
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(load(&Sources::default()), Ok(Config::default()));
        assert_eq!(from_file(""), Ok(Config::default()));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hostel.toml");
        std::fs::write(&file, "[ingress]\nlisten = '127.0.0.1:1'\nconnections = 1\n[log]\nfilter = 'warn'").unwrap();
        let environment = [("HOSTEL_INGRESS_CONNECTIONS", "2"), ("HOSTEL_LOG_FILTER", "debug"), ("PATH", "x")];
        let config = load(&Sources {
            file: Some(file),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            flags: vec![("log.filter", Value::String("trace".to_owned()))],
            allow_remote: false,
        })
        .unwrap();
        assert_eq!(config.ingress.listen.port(), 1);
        assert_eq!(config.ingress.connections, 2);
        assert_eq!(config.log.filter, "trace");
    }

    #[test]
    fn go_micros_variables_are_taken_and_ours_win() {
        let environment = |pairs: &[(&str, &str)]| {
            let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            load(&Sources { environment, ..Sources::default() })
        };
        let config = environment(&[
            ("MICRO_REGISTRY", "mdns"),
            ("MICRO_REGISTER_TTL", "90"),
            ("MICRO_REGISTER_INTERVAL", "10"),
            ("HOSTEL_REGISTRY_INTERVAL", "20s"),
            ("MICRO_SERVER_NAME", "host-7"),
            ("MICRO_BROKER_ADDRESS", "127.0.0.1:8080"),
            ("MICRO_TRANSPORT", "anything"),
        ])
        .unwrap();
        assert_eq!(config.registry.kind, RegistryKind::Mdns);
        assert_eq!(config.registry.ttl.0, Duration::from_secs(90));
        assert_eq!(config.registry.interval.0, Duration::from_secs(20));
        assert_eq!(config.peers.name, "host-7");
        assert_eq!(config.ingress.listen.port(), 8080);
        assert_eq!(
            texts(environment(&[("MICRO_REGISTRY", "consul")])),
            ["E0031: `MICRO_REGISTRY` in the environment: key `registry.use`: unknown variant `consul`, expected one \
                 of `memory`, `mdns`, `http`"]
        );
    }

    #[test]
    fn a_host_is_not_its_own_registry_over_the_network() {
        let text = "[registry]\nuse = 'http'\naddress = 'http://127.0.0.1:4301/'";
        assert_eq!(
            texts(from_file(text)),
            ["E0031: `registry.address` is this host's own; use `registry.use = \"memory\"` to be the registry"]
        );
        assert!(from_file(&text.replace("4301", "5301")).is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let check = |text: &str, expected: &str| assert_eq!(texts(from_file(text)), [expected]);
        check("data_dri = 'x'", "E0030: `hostel.toml` line 1: unknown key `data_dri`; did you mean `data_dir`?");
        check(
            "[ingress]\nlisen = 'x'",
            "E0030: `hostel.toml` line 2: unknown key `lisen` in `ingress`; did you mean `listen`?",
        );
        check("[ingres]", "E0030: `hostel.toml` line 1: unknown key `ingres`; did you mean `ingress`?");
        let environment = BTreeMap::from([("HOSTEL_INGRESS_LISEN".to_owned(), "x".to_owned())]);
        assert_eq!(
            texts(load(&Sources { environment, ..Sources::default() })),
            [
                "E0030: unknown variable `HOSTEL_INGRESS_LISEN` in the environment; did you mean `HOSTEL_INGRESS_LISTEN`?"
            ]
        );
    }

    #[test]
    fn a_bad_value_says_which_and_why() {
        let check = |text: &str, expected: &str| assert_eq!(texts(from_file(text)), [expected]);
        check(
            "[ingress]\nlisten = 'here'",
            "E0031: `hostel.toml` line 2: key `ingress.listen`: invalid socket address syntax",
        );
        check(
            "[ingress]\nhead_timeout = 5",
            "E0031: `hostel.toml` line 2: key `ingress.head_timeout`: invalid type: integer `5`, expected a duration with its unit, \
             such as \"5s\"",
        );
        check("[runtime]\ninvocations = 0", "E0031: `runtime.invocations` must be at least 1");
        check(
            "[ingress]\ntenant = 'A'",
            "E0031: `ingress.tenant`: tenant `A` has 'A' at byte 0; allowed are a-z, 0-9 and, after the first, -",
        );
    }

    #[test]
    fn a_bad_value_in_the_environment_is_blamed_on_its_variable() {
        let environment = BTreeMap::from([("HOSTEL_INGRESS_CONNECTIONS".to_owned(), "many".to_owned())]);
        assert_eq!(
            texts(load(&Sources { environment, ..Sources::default() })),
            [
                "E0031: `HOSTEL_INGRESS_CONNECTIONS` in the environment: key `ingress.connections`: invalid type: string \
              \"many\", expected usize"
            ]
        );
    }

    #[test]
    fn listening_beyond_loopback_needs_a_word() {
        let text = "[admin]\nlisten = '0.0.0.0:4301'";
        assert_eq!(
            texts(from_file(text)),
            ["E0034: `admin.listen` is 0.0.0.0:4301, which others can reach, and this host asks nobody who they are; \
              listen on 127.0.0.1, set `access.require = \"token\"` and TLS, or say `--allow-remote`"]
        );
        let flags = vec![("admin.listen", Value::String("0.0.0.0:4301".to_owned()))];
        assert!(load(&Sources { flags, allow_remote: true, ..Sources::default() }).is_ok());
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mistakes = texts(from_file("[runtime]\ninvocations = 0\n[admin]\nconnections = 0\nlisten = '0.0.0.0:1'"));
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    }

    #[test]
    fn a_file_that_is_not_there_or_no_toml_is_an_error() {
        let missing = Sources { file: Some(PathBuf::from("/nowhere/hostel.toml")), ..Sources::default() };
        assert_eq!(texts(load(&missing)), ["E0035: cannot read `hostel.toml`: No such file or directory (os error 2)"]);
        assert!(texts(from_file("\na = "))[0].starts_with("E0031: `hostel.toml` line 2: "));
    }
}
