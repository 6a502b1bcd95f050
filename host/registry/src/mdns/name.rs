//! Names of services and nodes as DNS names, and which of them DNS cannot carry.
//!
//! A node is `<node id>.<service>.<domain>`. The dots of the id separate labels, as go-micro has it.

use hostel_event::port::RegistryError;

/// The most bytes of a label (RFC 1035, section 2.3.4).
const LABEL: usize = 63;

/// The most bytes of a name, each label with its length and the root's zero counted (RFC 1035, section 2.3.4).
const NAME: usize = 255;

/// What go-micro's DNS library escapes when it shows a name beside what is not printable ASCII. A go-micro program then
/// takes the escaped text for the node's id and posts to a node that does not exist.
const ESCAPED: [char; 7] = ['"', '\'', '(', ')', ';', '@', '\\'];

/// The name of a node, if DNS can carry it.
pub(crate) fn of_node(id: &str, service: &str, domain: &str) -> Result<String, RegistryError> {
    let name = format!("{id}.{service}.{domain}");
    check(&name).map_err(|reason| RegistryError::Refused { service: service.to_owned(), reason })?;
    Ok(name)
}

/// The node's id in the name of a node of this service.
pub(crate) fn id_in<'a>(name: &'a str, service: &str, domain: &str) -> Option<&'a str> {
    let id = name.strip_suffix(domain)?.strip_suffix('.')?.strip_suffix(service)?.strip_suffix('.')?;
    (!id.is_empty()).then_some(id)
}

/// Whether DNS and go-micro's library carry the name as it is; else a sentence.
pub(crate) fn check(name: &str) -> Result<(), String> {
    if let Some(found) = name.chars().find(|c| !c.is_ascii_graphic() || ESCAPED.contains(c)) {
        return Err(format!(
            "mDNS cannot carry {found:?} in `{}`; use letters, digits, `.`, `-` and `_`",
            name.escape_debug()
        ));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(format!("mDNS cannot carry `{name}`: it has an empty part between two dots"));
        }
        if label.len() > LABEL {
            let over = label.len() - LABEL;
            return Err(format!(
                "mDNS carries {LABEL} bytes between two dots and `{label}` has {}; shorten it by {over}, which for a \
                 topic means what follows its last dot",
                label.len()
            ));
        }
    }
    let bytes = name.len() + 2;
    if bytes > NAME {
        return Err(format!("mDNS carries names of {NAME} bytes and `{name}` takes {bytes}; shorten it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "00000000-0000-4000-8000-000000037771";

    #[track_caller]
    fn check(id: &str, refused_for: Option<&str>) {
        match (of_node(id, "micro.http.broker", "micro"), refused_for) {
            (Ok(name), None) => assert_eq!(id_in(&name, "micro.http.broker", "micro"), Some(id)),
            (Err(error), Some(reason)) => assert!(error.to_string().contains(reason), "{error}"),
            (result, _) => panic!("{id}: {result:?}"),
        }
    }

    #[test]
    fn ids_of_ordinary_topics_are_carried() {
        check(&format!("go.micro.topic.foo-{UUID}"), None);
        check("a/b?c=d&e:f_g-1", None);
    }

    #[test]
    fn the_last_part_of_a_topic_has_twenty_six_bytes_beside_the_uuid() {
        check(&format!("orders.{}-{UUID}", "x".repeat(26)), None);
        check(&format!("orders.{}-{UUID}", "x".repeat(27)), Some("has 64; shorten it by 1, which for a topic"));
    }

    #[test]
    fn what_dns_escapes_or_cannot_carry_is_refused_with_the_reason() {
        for id in ["with space", "q\"", "semi;colon", "at@", "(", ")", "back\\slash", "apo'strophe", "тема", "\u{7f}"]
        {
            check(id, Some("mDNS cannot carry"));
        }
        for id in [".leading", "two..dots", "trailing."] {
            check(id, Some("empty part"));
        }
        check(&["x".repeat(60).as_str(); 4].join("."), Some("names of 255 bytes"));
    }

    #[test]
    fn a_name_of_another_service_has_no_id() {
        for name in
            ["micro.http.broker.micro", "a.other.micro", "a.micro.http.broker.local", ".micro.http.broker.micro"]
        {
            assert_eq!(id_in(name, "micro.http.broker", "micro"), None, "{name}");
        }
    }
}
