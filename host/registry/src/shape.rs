//! What any registry asks of a service before it takes it.

use std::time::Duration;

use hostel_event::port::{Endpoint, Metadata, RegistryError, Service, Value};

/// The most bytes of text that a service may have with one of its nodes. Arbitrary, and far above what go-micro's
/// services have; it bounds what a registry with a bounded number of nodes may hold.
pub(crate) const BYTES: usize = 64 * 1024;

/// Refuses what no registry could make known.
pub(crate) fn check(service: &Service, ttl: Duration) -> Result<(), RegistryError> {
    let refused = |reason: String| RegistryError::Refused { service: service.name.clone(), reason };
    if service.name.is_empty() {
        return Err(refused("it has no name".to_owned()));
    }
    if service.nodes.is_empty() {
        return Err(refused("it has no nodes; give at least one".to_owned()));
    }
    if ttl.is_zero() {
        return Err(refused("its TTL is zero; give the time after which it is forgotten".to_owned()));
    }
    let common = bytes_of(service);
    for node in &service.nodes {
        if node.id.is_empty() {
            return Err(refused(format!("its node at `{}` has no id", node.address)));
        }
        if node.address.is_empty() {
            return Err(refused(format!("its node `{}` has no address; give `host:port`", node.id)));
        }
        let bytes = common + node.id.len() + node.address.len() + bytes_of_metadata(&node.metadata);
        if bytes > BYTES {
            return Err(refused(format!("with its node `{}` it has {bytes} bytes, more than {BYTES}", node.id)));
        }
    }
    Ok(())
}

fn bytes_of(service: &Service) -> usize {
    let endpoints: usize = service.endpoints.iter().map(bytes_of_endpoint).sum();
    service.name.len() + service.version.len() + bytes_of_metadata(&service.metadata) + endpoints
}

fn bytes_of_endpoint(endpoint: &Endpoint) -> usize {
    let values: usize = [&endpoint.request, &endpoint.response].into_iter().flatten().map(bytes_of_value).sum();
    endpoint.name.len() + bytes_of_metadata(&endpoint.metadata) + values
}

/// A value without a name still takes room: each counts as its own size in memory beside its text.
fn bytes_of_value(value: &Value) -> usize {
    let parts: usize = value.values.iter().map(bytes_of_value).sum();
    size_of::<Value>() + value.name.len() + value.kind.len() + parts
}

fn bytes_of_metadata(metadata: &Metadata) -> usize {
    metadata.iter().map(|(name, value)| name.len() + value.len()).sum()
}
