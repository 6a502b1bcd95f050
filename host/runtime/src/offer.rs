//! What the host offers for import, and the refusal of a component that imports anything else.

use crate::interface::Interface;
use crate::load::LoadError;

/// Every interface that is linked, in the version that it is linked in. A test links each.
pub(crate) const OFFERED: [&str; 41] = [
    "hostel:handler/types@0.1.0",
    "hostel:handler/events@0.1.0",
    "hostel:handler/publisher@0.1.0",
    "wasi:logging/logging@0.1.0-draft",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:http/types@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:random/random@0.2.12",
    "wasi:random/insecure@0.2.12",
    "wasi:random/insecure-seed@0.2.12",
    "wasi:cli/environment@0.2.12",
    "wasi:cli/exit@0.2.12",
    "wasi:cli/stdin@0.2.12",
    "wasi:cli/stdout@0.2.12",
    "wasi:cli/stderr@0.2.12",
    "wasi:cli/terminal-input@0.2.12",
    "wasi:cli/terminal-output@0.2.12",
    "wasi:cli/terminal-stdin@0.2.12",
    "wasi:cli/terminal-stdout@0.2.12",
    "wasi:cli/terminal-stderr@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:filesystem/preopens@0.2.12",
    "wasi:sockets/network@0.2.12",
    "wasi:sockets/instance-network@0.2.12",
    "wasi:sockets/ip-name-lookup@0.2.12",
    "wasi:sockets/tcp@0.2.12",
    "wasi:sockets/tcp-create-socket@0.2.12",
    "wasi:sockets/udp@0.2.12",
    "wasi:sockets/udp-create-socket@0.2.12",
    "wasi:messaging/types@0.2.0-draft",
    "wasi:messaging/producer@0.2.0-draft",
    "wasi:messaging/request-reply@0.2.0-draft",
    "wasmcloud:messaging/types@0.2.0",
    "wasmcloud:messaging/consumer@0.2.0",
];

/// What is linked beside it for components that are asynchronous in the component model's own way.
pub(crate) const OFFERED_CONCURRENT: [&str; 2] =
    ["wasmcloud:messaging/types@0.3.0", "wasmcloud:messaging/consumer@0.3.0"];

/// Whether these imports can only be had together with concurrency.
pub(crate) fn needs_concurrency(imports: &[String]) -> bool {
    let offered = OFFERED_CONCURRENT.map(Interface::parse);
    imports.iter().any(|import| offered.iter().any(|offered| offered.is_compatible(&Interface::parse(import))))
}

/// Refuses imports that are not offered, all of them at once.
///
/// # Errors
/// [`LoadError::Imports`] names each, with the version that is offered where only that differs.
pub(crate) fn check(imports: &[String]) -> Result<(), LoadError> {
    let refused: Vec<String> = imports.iter().filter_map(|import| refusal(import)).collect();
    if refused.is_empty() { Ok(()) } else { Err(LoadError::Imports(refused.join(", "))) }
}

fn refusal(import: &str) -> Option<String> {
    let found = Interface::parse(import);
    let same_name: Vec<Interface<'_>> = OFFERED
        .iter()
        .chain(&OFFERED_CONCURRENT)
        .map(|offered| Interface::parse(offered))
        .filter(|it| it.name == found.name)
        .collect();
    if same_name.iter().any(|offered| offered.is_compatible(&found)) {
        return None;
    }
    let versions: Vec<&str> = same_name.iter().map(|offered| offered.version).collect();
    match &versions[..] {
        [] => Some(format!("`{import}`")),
        [version] => Some(format!("`{import}` (this host has version {version})")),
        versions => Some(format!("`{import}` (this host has versions {})", versions.join(" and "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_every_import() {
        let check = |imports: &[&str]| {
            let imports: Vec<String> = imports.iter().map(|&import| import.to_owned()).collect();
            check(&imports).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["wasi:cli/stdout@0.2.3", "hostel:handler/events@0.1.0"]), Ok(()));
        assert_eq!(
            check(&["wasi:keyvalue/batch@0.2.0-draft", "wasi:cli/stdout@0.3.0", "wasi:cli/stdin@0.2.0", "log"]),
            Err("component imports what this host does not offer: `wasi:keyvalue/batch@0.2.0-draft`, \
                 `wasi:cli/stdout@0.3.0` (this host has version 0.2.12), `log`"
                .to_owned())
        );
    }
}
