//! Services in the words of the port and in those of the admin API, one into the other. Nothing is lost either way.

use hostel_api::registry::{EndpointView, NodeView, ServiceAction, ServiceChangeView, ServiceView, ValueView};
use hostel_event::port::{Change, ChangeKind, Endpoint, Node, Service, Value};

/// A service as the admin API writes it.
#[must_use]
pub fn write(service: Service) -> ServiceView {
    let Service { name, version, metadata, endpoints, nodes } = service;
    let node = |Node { id, address, metadata }| NodeView { id, address, metadata };
    ServiceView {
        name,
        version,
        metadata,
        endpoints: endpoints.into_iter().map(write_endpoint).collect(),
        nodes: nodes.into_iter().map(node).collect(),
    }
}

/// A service that the admin API wrote.
#[must_use]
pub fn read(view: ServiceView) -> Service {
    let ServiceView { name, version, metadata, endpoints, nodes } = view;
    let node = |NodeView { id, address, metadata }| Node { id, address, metadata };
    Service {
        name,
        version,
        metadata,
        endpoints: endpoints.into_iter().map(read_endpoint).collect(),
        nodes: nodes.into_iter().map(node).collect(),
    }
}

/// A change as the admin API writes it.
#[must_use]
pub fn write_change(change: Change) -> ServiceChangeView {
    let action = match change.kind {
        ChangeKind::Create => ServiceAction::Create,
        ChangeKind::Update => ServiceAction::Update,
        ChangeKind::Delete => ServiceAction::Delete,
    };
    ServiceChangeView { action, service: write(change.service) }
}

/// A change that the admin API wrote.
#[must_use]
pub fn read_change(view: ServiceChangeView) -> Change {
    let kind = match view.action {
        ServiceAction::Create => ChangeKind::Create,
        ServiceAction::Update => ChangeKind::Update,
        ServiceAction::Delete => ChangeKind::Delete,
    };
    Change { kind, service: read(view.service) }
}

fn write_endpoint(endpoint: Endpoint) -> EndpointView {
    let Endpoint { name, request, response, metadata } = endpoint;
    EndpointView { name, request: request.map(write_value), response: response.map(write_value), metadata }
}

fn read_endpoint(view: EndpointView) -> Endpoint {
    let EndpointView { name, request, response, metadata } = view;
    Endpoint { name, request: request.map(read_value), response: response.map(read_value), metadata }
}

fn write_value(value: Value) -> ValueView {
    let Value { name, kind, values } = value;
    ValueView { name, kind, values: values.into_iter().map(write_value).collect() }
}

fn read_value(view: ValueView) -> Value {
    let ValueView { name, kind, values } = view;
    Value { name, kind, values: values.into_iter().map(read_value).collect() }
}
