//! What the host offers for import, and the refusal of a component that imports anything else.

use crate::interface::Interface;
use crate::load::LoadError;

/// Every interface that is linked, in the version that it is linked in. A test links each.
pub(crate) const OFFERED: [&str; 36] = [
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
];

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
    let mut same_name = OFFERED.iter().map(|offered| Interface::parse(offered)).filter(|it| it.name == found.name);
    match same_name.next() {
        Some(offered) if offered.is_compatible(&found) => None,
        Some(offered) => Some(format!("`{import}` (this host has version {})", offered.version)),
        None => Some(format!("`{import}`")),
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
