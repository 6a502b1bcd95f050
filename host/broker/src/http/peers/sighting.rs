//! What a registry's entry says of a node, checked. What is not a broker's node, or not a sound one, ends here.

use hostel_event::name::QueueGroup;
use hostel_event::port::{Node, Service};
use hostel_event::topic::Topic;

use crate::http::client::Address;
use crate::http::node::queue_of;
use crate::http::wire::Generation;

/// The most bytes that a node's id may have: a topic of 255, a UUID, and as much again.
const ID_LIMIT: usize = 600;

/// A node as a registry shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting<'a> {
    pub(super) id: &'a str,
    pub(super) generation: Generation,
    pub(super) topic: Topic,
    /// `None` for a broadcast node.
    pub(super) queue: Option<QueueGroup>,
    pub(super) address: Address,
    pub(super) secure: bool,
}

/// Why an entry is no sighting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ignored {
    /// It is another broker's.
    Foreign,
    /// Its id, topic, queue or address is none that can be used.
    Malformed,
}

impl<'a> Sighting<'a> {
    pub(super) fn of(service: &Service, node: &'a Node, generation: Generation) -> Result<Self, Ignored> {
        let said = |name: &str| node.metadata.get(name).map(String::as_str);
        if said("broker") != Some("http") {
            return Err(Ignored::Foreign);
        }
        if node.id.is_empty() || node.id.len() > ID_LIMIT {
            return Err(Ignored::Malformed);
        }
        let topic = said("topic").and_then(|topic| Topic::new(topic).ok()).ok_or(Ignored::Malformed)?;
        let queue = queue_of(&service.version).ok_or(Ignored::Malformed)?;
        let address = Address::parse(&node.address).ok_or(Ignored::Malformed)?;
        Ok(Self { id: &node.id, generation, topic, queue, address, secure: said("secure") == Some("true") })
    }
}

#[cfg(test)]
mod tests {
    use hostel_event::port::Metadata;

    use super::*;

    fn check(version: &str, id: &str, address: &str, metadata: &[(&str, &str)]) -> Result<(), Ignored> {
        let metadata: Metadata =
            metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let node = Node { id: id.to_owned(), address: address.to_owned(), metadata };
        let service = Service { version: version.to_owned(), ..Service::default() };
        Sighting::of(&service, &node, Generation::Second).map(|_| ())
    }

    #[test]
    fn sound_entries_are_taken_and_others_are_not() {
        let good = [("broker", "http"), ("secure", "false"), ("topic", "a.b")];
        for address in ["127.0.0.1:80", "[::1]:1", "0.0.0.0:65535", "some-host.local:22"] {
            assert_eq!(check("q", "id", address, &good), Ok(()), "{address}");
        }
        let wrong =
            ["", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":80", "a b:80", "u@h:80", "http://h:80", "h:80/x"];
        for address in wrong {
            assert_eq!(check("q", "id", address, &good), Err(Ignored::Malformed), "{address}");
        }
        assert_eq!(check("q", "", "h:1", &good), Err(Ignored::Malformed));
        assert_eq!(check("q", &"i".repeat(601), "h:1", &good), Err(Ignored::Malformed));
        assert_eq!(check(&"q".repeat(2000), "id", "h:1", &good), Err(Ignored::Malformed));
        assert_eq!(check("q", "id", "h:1", &[("broker", "http")]), Err(Ignored::Malformed));
        assert_eq!(check("q", "id", "h:1", &[("broker", "http"), ("topic", "a b")]), Err(Ignored::Malformed));
        assert_eq!(check("q", "id", "h:1", &[("broker", "nats"), ("topic", "a")]), Err(Ignored::Foreign));
        assert_eq!(check("q", "id", "h:1", &[]), Err(Ignored::Foreign));
    }
}
