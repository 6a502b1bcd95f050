//! Every path that a host answers, with what one must be allowed to do to ask for it.
//!
//! The one table of this: the server lets nobody past it and answers nothing that is not in it, the tests go through it
//! row by row. What a token may do is told by its scopes, in [`token`](crate::token).

/// One of the two faces of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Face {
    /// Where operators and the command line come in.
    Admin,
    /// Where events come in.
    Ingress,
}

/// What one must be allowed to do. Where a path names a tenant, in that tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Nothing: everybody may ask, known or not.
    Open,
    /// To publish on the topic that the path names.
    Publish,
    /// To publish on any topic: what a go-micro publisher posts names its topic only inside.
    Peer,
    /// To follow the topics that the pattern in the path hears.
    Subscribe,
    /// To look at what is deployed and what becomes of events.
    Read,
    /// To change what is deployed, and what waits or was given up.
    Deploy,
    /// To manage the tenant itself.
    Admin,
    /// To manage the host.
    Operator,
}

/// A path, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// Which face answers it.
    pub face: Face,
    /// The method. Who may GET may also HEAD.
    pub method: &'static str,
    /// The path: what stands in braces is one segment of any text.
    pub path: &'static str,
    /// What one must be allowed to do.
    pub right: Right,
    /// What the audit log calls it; `None`: it changes nothing that is worth a line there.
    pub action: Option<&'static str>,
}

const fn look(path: &'static str, right: Right) -> Route {
    Route { face: Face::Admin, method: "GET", path, right, action: None }
}

const fn change(method: &'static str, path: &'static str, right: Right, action: &'static str) -> Route {
    Route { face: Face::Admin, method, path, right, action: Some(action) }
}

const fn ingress(method: &'static str, path: &'static str, right: Right) -> Route {
    Route { face: Face::Ingress, method, path, right, action: None }
}

/// Every path of both faces.
pub const ROUTES: &[Route] = &[
    look("/healthz", Right::Open),
    look("/readyz", Right::Open),
    // Of a tenant's token it shows what is the tenant's.
    look("/metrics", Right::Read),
    look("/v1/openapi.json", Right::Open),
    look("/v1/docs", Right::Open),
    look("/v1/tenants", Right::Operator),
    look("/v1/tenants/{tenant}", Right::Read),
    change("PUT", "/v1/tenants/{tenant}", Right::Operator, "tenant.put"),
    change("DELETE", "/v1/tenants/{tenant}", Right::Operator, "tenant.delete"),
    look("/v1/tenants/{tenant}/tokens", Right::Admin),
    change("POST", "/v1/tenants/{tenant}/tokens", Right::Admin, "token.create"),
    change("DELETE", "/v1/tenants/{tenant}/tokens/{id}", Right::Admin, "token.revoke"),
    look("/v1/tenants/{tenant}/audit", Right::Admin),
    change("PUT", "/v1/tenants/{tenant}/components/{digest}", Right::Deploy, "component.put"),
    look("/v1/tenants/{tenant}/components/{digest}", Right::Read),
    change("PUT", "/v1/tenants/{tenant}/files/{digest}", Right::Deploy, "files.put"),
    look("/v1/tenants/{tenant}/files/{digest}", Right::Read),
    look("/v1/tenants/{tenant}/handlers", Right::Read),
    look("/v1/tenants/{tenant}/handlers/{name}", Right::Read),
    change("PUT", "/v1/tenants/{tenant}/handlers/{name}", Right::Deploy, "deploy"),
    change("DELETE", "/v1/tenants/{tenant}/handlers/{name}", Right::Deploy, "undeploy"),
    change("POST", "/v1/tenants/{tenant}/handlers/{name}/rollback", Right::Deploy, "rollback"),
    look("/v1/tenants/{tenant}/subscriptions", Right::Read),
    change("DELETE", "/v1/tenants/{tenant}/subscriptions/{id}", Right::Deploy, "subscription.drop"),
    change("POST", "/v1/tenants/{tenant}/subscriptions/{id}/pause", Right::Deploy, "pause"),
    change("POST", "/v1/tenants/{tenant}/subscriptions/{id}/resume", Right::Deploy, "resume"),
    look("/v1/tenants/{tenant}/subscriptions/{id}/replay", Right::Read),
    change("POST", "/v1/tenants/{tenant}/subscriptions/{id}/replay", Right::Deploy, "replay"),
    change("DELETE", "/v1/tenants/{tenant}/subscriptions/{id}/replay", Right::Deploy, "replay.end"),
    look("/v1/tenants/{tenant}/replays", Right::Read),
    look("/v1/tenants/{tenant}/dead-letters", Right::Read),
    change("DELETE", "/v1/tenants/{tenant}/dead-letters", Right::Deploy, "dead-letters.drop"),
    change("POST", "/v1/tenants/{tenant}/dead-letters/redrive", Right::Deploy, "dead-letters.redrive"),
    look("/v1/tenants/{tenant}/dead-letters/{id}", Right::Read),
    change("DELETE", "/v1/tenants/{tenant}/dead-letters/{id}", Right::Deploy, "dead-letter.drop"),
    change("POST", "/v1/tenants/{tenant}/dead-letters/{id}/redrive", Right::Deploy, "dead-letter.redrive"),
    look("/v1/tenants/{tenant}/logs", Right::Read),
    look("/v1/tenants/{tenant}/changes", Right::Read),
    look("/v1/tenants/{tenant}/usage", Right::Read),
    look("/v1/tokens", Right::Operator),
    change("POST", "/v1/tokens", Right::Operator, "token.create"),
    change("DELETE", "/v1/tokens/{id}", Right::Operator, "token.revoke"),
    look("/v1/audit", Right::Operator),
    look("/v1/usage", Right::Operator),
    look("/v1/peers", Right::Operator),
    look("/v1/registry/services", Right::Operator),
    change("POST", "/v1/registry/services", Right::Operator, "service.register"),
    change("DELETE", "/v1/registry/services", Right::Operator, "service.deregister"),
    look("/v1/registry/services/{name}", Right::Operator),
    look("/v1/registry/watch", Right::Operator),
    ingress("POST", "/topics/{topic}", Right::Publish),
    ingress("GET", "/topics/{pattern}/events", Right::Subscribe),
    ingress("POST", "/", Right::Peer),
    ingress("POST", "/_sub", Right::Peer),
];

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// This.
    Route(&'static Route, Vec<Segment<'a>>),
    /// One that takes other methods.
    OtherMethod,
    /// None.
    Nothing,
}

/// What stands in a path where its template has a name in braces, as it came: not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The name.
    pub name: &'static str,
    /// The text.
    pub text: &'a str,
}

/// The row for a request.
#[must_use]
pub fn find<'a>(face: Face, method: &str, path: &'a str) -> Found<'a> {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut known = false;
    for route in ROUTES.iter().filter(|route| route.face == face) {
        let Some(segments) = fits(route.path, path) else { continue };
        if route.method == method {
            return Found::Route(route, segments);
        }
        known = true;
    }
    if known { Found::OtherMethod } else { Found::Nothing }
}

/// What a path has where its template has names; `None` if it is another path.
fn fits<'a>(template: &'static str, path: &'a str) -> Option<Vec<Segment<'a>>> {
    let mut segments = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(segments),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) => segments.push(Segment { name, text: given }),
                None if wanted == given => {}
                None => return None,
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_row_stands_there_twice() {
        let unique: HashSet<_> = ROUTES.iter().map(|route| (route.face, route.method, route.path)).collect();
        assert_eq!(unique.len(), ROUTES.len());
    }

    #[test]
    fn whatever_changes_something_on_the_admin_api_is_audited() {
        for route in ROUTES.iter().filter(|route| route.face == Face::Admin) {
            assert_eq!(route.action.is_some(), route.method != "GET", "{route:?}");
        }
    }

    #[test]
    fn a_path_is_found_with_what_it_names() {
        let check = |method: &str, path: &str, expected: &[(&str, &str)]| match find(Face::Admin, method, path) {
            Found::Route(_, segments) => {
                let named: Vec<_> = segments.iter().map(|segment| (segment.name, segment.text)).collect();
                assert_eq!(named, expected);
            }
            other => panic!("{method} {path}: {other:?}"),
        };
        check("GET", "/healthz", &[]);
        check("HEAD", "/v1/tenants", &[]);
        check("PUT", "/v1/tenants/acme/handlers/h", &[("tenant", "acme"), ("name", "h")]);
        check("GET", "/v1/tenants//handlers", &[("tenant", "")]);
        check("GET", "/v1/tenants/..%2fx/logs", &[("tenant", "..%2fx")]);
        let nothing = |face, path: &str| assert_eq!(find(face, "GET", path), Found::Nothing, "{path}");
        nothing(Face::Admin, "//v1/tenants");
        nothing(Face::Admin, "/v1/tenants/acme/handlers/../../x");
        nothing(Face::Admin, "/v1/%74enants/acme/handlers");
        nothing(Face::Ingress, "/healthz");
        assert_eq!(find(Face::Admin, "POST", "/healthz"), Found::OtherMethod);
    }
}
