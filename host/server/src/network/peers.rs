//! How peers are served, as the config says.

use hostel_api::problem::Code;
use hostel_broker::http::client::{self, Client, ClientError, Trust};
use hostel_broker::http::courier;
use hostel_broker::http::peers::Settings;
use hostel_event::name::Tenant;

use crate::config;
use crate::config::load::Mistake;

/// What posts to peers.
///
/// # Errors
/// The certificates that it is to trust, or the one that it is to show, cannot be read.
pub(super) fn client(config: &config::Peers) -> Result<Client, Mistake> {
    let roots = &config.certificate_authorities;
    let settings = client::Settings {
        connect_limit: config.connect_timeout.0,
        answer_limit: config.request_timeout.0,
        trust: Trust {
            roots: (!roots.as_os_str().is_empty()).then(|| roots.clone()),
            any_certificate: config.trust_any_certificate,
            own: (!config.client_certificate.as_os_str().is_empty())
                .then(|| (config.client_certificate.clone(), config.client_key.clone())),
        },
        ..client::Settings::default()
    };
    Client::new(settings).map_err(|error| {
        let key = match error {
            ClientError::Roots { .. } | ClientError::NoRoots { .. } => "peers.certificate_authorities",
            _ => "peers.client_certificate",
        };
        Mistake { code: Code::BadConfigValue, text: format!("`{key}`: {}", super::chain(&error)) }
    })
}

/// How peers are found and served.
pub(super) fn settings(peers: &config::Peers, registry: &config::Registry, tenant: Tenant) -> Settings {
    Settings {
        nodes: peers.nodes,
        // As long as a registration holds; it is also what a node that died is believed for.
        gone_after: registry.ttl.0,
        seed: rand::random(),
        courier: courier::Settings {
            concurrency: peers.concurrency,
            selector: peers.selector.choice(),
            retention: peers.retention.0,
            hops: peers.hops,
            ..courier::Settings::default()
        },
        ..Settings::new(tenant)
    }
}
