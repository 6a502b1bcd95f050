//! Who may do what: the one place that lets a request in, before anything else of it is read.
//!
//! What a path takes stands in the one table of `hostel_api::route`. A request that is not in it reaches nobody. Whether
//! who asks may have it is decided in [`decide`], which knows no request and no clock. What one may not see is answered
//! like what does not exist. What was changed, and by whom, is written down in [`audit`].

pub(crate) mod audit;
pub(crate) mod certificate;
pub(crate) mod cover;
pub(crate) mod scope;
mod secret;
pub(crate) mod tokens;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::uri::Authority;
use http::{Request, Response};
use percent_encoding::percent_decode_str;

use hostel_api::problem::Code;
use hostel_api::route::{Face, Found, Right, Route, find};
use hostel_event::name::Tenant;
use hostel_event::pattern::Pattern;
use hostel_event::port::Clock;

use crate::answer::Failure;
use crate::config::access::Require;
use crate::follow::EVENT_STREAM;
use crate::telemetry;
use crate::tenants::Tenants;

use audit::{Audit, Begun};
use certificate::Fingerprint;
use scope::Scope;
use tokens::{Token, Tokens};

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// Somebody who showed no token that holds, where one is asked for.
    Nobody,
    /// Whoever reaches the host, where nobody is asked.
    Local,
    /// The holder of a token, or of the certificate that stands for it.
    Holder(Arc<Token>),
}

/// What one must be allowed to do to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) right: Right,
    /// In which tenant; of the host itself if none.
    pub(crate) tenant: Option<Tenant>,
    /// On which topics, if it is a matter of topics and they are well formed.
    pub(crate) topics: Option<Pattern>,
}

/// Why one is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nobody knows who asks.
    Unknown,
    /// It is no business of who asks, not even whether it is there.
    Hidden,
    /// Who asks is known and at home there, but lacks this scope.
    Lacks(String),
}

/// Whether somebody may have what takes `need`.
pub(crate) fn decide(need: &Need, who: &Identity) -> Result<(), Denied> {
    let token = match who {
        _ if need.right == Right::Open => return Ok(()),
        Identity::Nobody => return Err(Denied::Unknown),
        Identity::Local => return Ok(()),
        Identity::Holder(token) => token,
    };
    let of_host = token.tenant.is_none();
    if !of_host && need.tenant.is_some() && need.tenant != token.tenant {
        return Err(Denied::Hidden);
    }
    match token.scopes.iter().any(|scope| scope.allows(need.right, need.topics.as_ref())) {
        true => Ok(()),
        false => Err(Denied::Lacks(Scope::needed(need.right, need.topics.as_ref()))),
    }
}

/// A listener of the ingress, as far as it matters who comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Door {
    /// Whose topics it serves, unless a token says otherwise.
    pub(crate) tenant: Tenant,
    /// Whether go-micro's endpoint is there.
    pub(crate) go_micro: bool,
    /// Whether go-micro's endpoint takes messages from anybody.
    pub(crate) anonymous: bool,
}

/// What a request that was let in may do.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) who: Identity,
    /// In which tenant; of the host itself if none.
    pub(crate) tenant: Option<Tenant>,
    /// The row of the table; `None` where the path is known and the method is not.
    pub(crate) route: Option<&'static Route>,
    /// What stands in the path where its template has names, decoded.
    segments: Vec<(&'static str, String)>,
    /// How long a stream that it asks for may go on: until its token expires.
    expires_in: Option<Duration>,
}

impl Granted {
    /// What one segment of the path says.
    pub(crate) fn segment(&self, name: &str) -> Option<&str> {
        self.segments.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    /// Whether who asks speaks for the host itself.
    pub(crate) fn is_operators(&self) -> bool {
        match &self.who {
            Identity::Nobody => false,
            Identity::Local => true,
            Identity::Holder(token) => token.tenant.is_none(),
        }
    }

    /// What the path names beside its tenant, for people.
    fn target(&self) -> Option<String> {
        let named: Vec<&str> =
            self.segments.iter().filter(|(name, _)| *name != "tenant").map(|(_, text)| text.as_str()).collect();
        (!named.is_empty()).then(|| named.join("/"))
    }

    /// An answer that ends, if it is a stream, when the right to it does.
    pub(crate) fn limit(&self, response: Response<Body>) -> Response<Body> {
        let Identity::Holder(token) = &self.who else { return response };
        if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != EVENT_STREAM) {
            return response;
        }
        let (revoked, expires_in) = (token.revoked.clone(), self.expires_in);
        let over = async move {
            match expires_in {
                // A token that is revoked in the meantime ends it as well.
                Some(left) => drop(tokio::time::timeout(left, revoked.cancelled()).await),
                None => revoked.cancelled().await,
            }
        };
        let (head, body) = response.into_parts();
        Response::from_parts(head, Body::from_stream(body.into_data_stream().take_until(Box::pin(over))))
    }
}

/// See the module's page.
pub(crate) struct Access {
    pub(crate) require: Require,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) audit: Audit,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Access {
    /// Lets a request of the admin API in or not, hands it to `next`, and writes down what came of it.
    pub(crate) async fn guard<N, F>(
        &self,
        mut request: Request<hyper::body::Incoming>,
        from: SocketAddr,
        next: N,
    ) -> Response<Body>
    where
        N: FnOnce(Request<hyper::body::Incoming>) -> F,
        F: Future<Output = Response<Body>>,
    {
        let who = self.identify(&request);
        let granted = self.admit(Face::Admin, &request, who.clone(), None);
        let begun = self.begin(&request, &who, granted.as_ref().ok(), from);
        let response = match granted {
            Err(failure) => failure.leaving(request.body()).into_response(),
            Ok(granted) => {
                request.extensions_mut().insert(granted.clone());
                granted.limit(next(request).await)
            }
        };
        match begun {
            Some(begun) => begun.answered(response).await,
            None => response,
        }
    }

    /// Lets a request of the ingress in or not; not for go-micro's endpoint.
    ///
    /// # Errors
    /// The answer, if it is not let in.
    pub(crate) fn ingress<B>(&self, door: &Door, request: &Request<B>) -> Result<Granted, Failure> {
        self.admit(Face::Ingress, request, self.identify(request), Some(door))
    }

    /// Lets a request for go-micro's endpoint in or not.
    ///
    /// # Errors
    /// The answer, if it is not let in.
    pub(crate) fn peer<B>(&self, door: &Door, request: &Request<B>, from: SocketAddr) -> Result<(), Failure> {
        if door.anonymous {
            return Ok(());
        }
        let who = self.identify(request);
        let need = Need { right: Right::Peer, tenant: Some(door.tenant.clone()), topics: None };
        decide(&need, &who).map_err(|denied| {
            telemetry::peer_denied(from);
            failure(denied)
        })
    }

    /// Who asks. Whoever shows a token is believed by it or not at all; who shows none is known by the certificate of the
    /// connection, which the listener has put there and nobody else can.
    fn identify<B>(&self, request: &Request<B>) -> Identity {
        if self.require == Require::None {
            return Identity::Local;
        }
        let now = self.clock.wall();
        let token = match request.headers().get(AUTHORIZATION) {
            Some(value) => value.to_str().ok().and_then(bearer).and_then(|text| self.tokens.verify(text, now)),
            None if is_of_another_site(request) => None,
            None => {
                let certificate = request.extensions().get::<Fingerprint>();
                certificate.and_then(|certificate| self.tokens.of_certificate(certificate, now))
            }
        };
        token.map_or(Identity::Nobody, Identity::Holder)
    }

    fn admit<B>(
        &self,
        face: Face,
        request: &Request<B>,
        who: Identity,
        door: Option<&Door>,
    ) -> Result<Granted, Failure> {
        let path = request.uri().path();
        let (route, segments) = match find(face, request.method().as_str(), path) {
            Found::Route(route, segments) => (Some(route), segments),
            Found::OtherMethod => (None, Vec::new()),
            Found::Nothing if matches!(who, Identity::Nobody) => return Err(failure(Denied::Unknown)),
            Found::Nothing => return Err(Failure::unknown_path(path)),
        };
        // What is no UTF-8 names nothing that could be there, and neither does what stands for it here.
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let segments = segments.iter().map(|segment| (segment.name, decoded(segment.text))).collect();
        let mut granted = Granted { who, tenant: None, route, segments, expires_in: None };
        granted.tenant = match (granted.segment("tenant"), door) {
            (Some(text), _) => match Tenant::new(text) {
                Ok(tenant) => Some(tenant),
                Err(_) if matches!(granted.who, Identity::Nobody) => return Err(failure(Denied::Unknown)),
                Err(_) => return Err(failure(Denied::Hidden)),
            },
            (None, Some(door)) => Some(self.at_door(door, &granted.who)),
            (None, None) => None,
        };
        let topics = match granted.who {
            // Only a token is a matter of topics.
            Identity::Holder(_) => granted.segment("topic").or(granted.segment("pattern")),
            Identity::Nobody | Identity::Local => None,
        };
        let topics = topics.and_then(|text| Pattern::new(text).ok());
        // A method that a path does not take is told to whoever is known, and to nobody else.
        let right = route.map_or(Right::Read, |route| route.right);
        if route.is_some() || matches!(granted.who, Identity::Nobody) {
            decide(&Need { right, tenant: granted.tenant.clone(), topics }, &granted.who).map_err(failure)?;
        }
        let creates = route.is_some_and(|route| route.action == Some("tenant.put"));
        if granted.tenant.as_ref().is_some_and(|tenant| !creates && !self.tenants.has(tenant)) {
            return Err(failure(Denied::Hidden));
        }
        if let Identity::Holder(token) = &granted.who {
            granted.expires_in = token
                .expires_at
                .map(|at| Duration::from_millis(at.as_millis().saturating_sub(self.clock.wall().as_millis())));
        }
        Ok(granted)
    }

    /// Whose topics a request at this door is about.
    fn at_door(&self, door: &Door, who: &Identity) -> Tenant {
        match who {
            Identity::Holder(token) => token.tenant.clone().unwrap_or_else(|| door.tenant.clone()),
            Identity::Local | Identity::Nobody => door.tenant.clone(),
        }
    }

    /// Begins the line of the audit log that a request is worth. Who is not known is not written down: anybody could
    /// fill the log so.
    fn begin<B>(
        &self,
        request: &Request<B>,
        who: &Identity,
        granted: Option<&Granted>,
        from: SocketAddr,
    ) -> Option<Begun> {
        if matches!(who, Identity::Nobody) {
            return None;
        }
        let path = request.uri().path();
        let Found::Route(route, segments) = find(Face::Admin, request.method().as_str(), path) else { return None };
        let action = route.action?;
        let refused =
            || segments.iter().find(|segment| segment.name == "tenant").map(|segment| segment.text.to_owned());
        let tenant = match granted {
            Some(granted) => granted.tenant.as_ref().map(ToString::to_string),
            None => refused(),
        };
        let target = granted.and_then(Granted::target);
        Some(self.audit.begin(audit::What { who, from, action, tenant, target, at: self.clock.wall() }))
    }
}

/// What follows `Bearer`, whose letters may be of either case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a browser asks on behalf of another site's page. It shows its user's certificate for whatever page it has
/// open; a token it sends only for one that has it.
fn is_of_another_site<B>(request: &Request<B>) -> bool {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let own = request.uri().authority().map(Authority::as_str).or_else(|| header(HOST));
    let is_foreign = |origin: &str| origin.split_once("://").is_none_or(|(_, authority)| Some(authority) != own);
    header(HeaderName::from_static("sec-fetch-site")).is_some_and(|site| !matches!(site, "same-origin" | "none"))
        || header(ORIGIN).is_some_and(is_foreign)
}

fn failure(denied: Denied) -> Failure {
    match denied {
        Denied::Unknown => {
            Failure::new(Code::Unauthorized, "this takes a token that holds, and none was shown").challenge()
        }
        Denied::Hidden => Failure::new(Code::NotFound, "there is no such tenant")
            .hint("check its name; one that is not yours is answered like one that does not exist"),
        Denied::Lacks(scope) => Failure::new(Code::Forbidden, format!("this takes a token with the scope `{scope}`")),
    }
}

#[cfg(test)]
mod tests;
