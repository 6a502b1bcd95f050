//! Services grouped by version, as every answer of a registry is.

use hostel_event::port::Service;

/// Adds the nodes of `one` to the service of its version. A node that was there is replaced, and what the service says
/// of itself is as `one` says.
pub(crate) fn add(services: &mut Vec<Service>, one: Service) {
    let Some(known) = services.iter_mut().find(|service| service.version == one.version) else {
        services.push(one);
        return;
    };
    for node in one.nodes {
        match known.nodes.iter_mut().find(|known| known.id == node.id) {
            Some(known) => *known = node,
            None => known.nodes.push(node),
        }
    }
    known.metadata = one.metadata;
    known.endpoints = one.endpoints;
}

/// Takes the nodes of `one` out, and with its last node the version.
pub(crate) fn remove(services: &mut Vec<Service>, one: &Service) {
    for service in services.iter_mut().filter(|service| service.version == one.version) {
        service.nodes.retain(|known| one.nodes.iter().all(|gone| gone.id != known.id));
    }
    services.retain(|service| !service.nodes.is_empty());
}

#[cfg(test)]
mod tests {
    use hostel_event::port::Node;

    use super::*;

    fn service(version: &str, ids: &[&str]) -> Service {
        let node = |id: &&str| Node { id: (*id).to_owned(), address: format!("{id}:1"), ..Node::default() };
        let nodes = ids.iter().map(node).collect();
        Service { name: "s".to_owned(), version: version.to_owned(), nodes, ..Service::default() }
    }

    #[test]
    fn nodes_join_their_version_and_leave_it() {
        let mut known = vec![service("1", &["a"])];
        add(&mut known, service("1", &["b"]));
        add(&mut known, service("2", &["c"]));
        assert_eq!(known, [service("1", &["a", "b"]), service("2", &["c"])]);
        remove(&mut known, &service("1", &["a"]));
        assert_eq!(known, [service("1", &["b"]), service("2", &["c"])]);
        remove(&mut known, &service("2", &["c"]));
        remove(&mut known, &service("3", &["c"]));
        assert_eq!(known, [service("1", &["b"])]);
    }

    #[test]
    fn a_node_with_a_known_id_replaces_it() {
        let mut known = vec![service("1", &["a"])];
        let mut moved = service("1", &["a"]);
        moved.nodes[0].address = "elsewhere:2".to_owned();
        add(&mut known, moved.clone());
        assert_eq!(known, [moved]);
    }
}
