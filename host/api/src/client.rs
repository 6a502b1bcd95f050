//! A client of a host: every call of the admin API, and publishing and tailing through the ingress.
//!
//! HTTP/1.1, over TLS where a URL says `https`. Every call has a time limit; a followed stream has one for its beginning and one for
//! silence. How bytes go over the wire is in `transport`, where a stream's messages become items in `follow`.

mod batches;
mod deployments;
mod follow;
mod peers;
mod registry;
mod replays;
mod tenants;
mod tls;
mod transport;
mod upload;
mod usage;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use self::deployments::Progress;
pub use self::follow::{Followed, Item};
pub use self::replays::ReplayQuery;
pub use self::tenants::{Force, Owner};
pub use self::tls::{Certificate, Tls};
pub use self::transport::ClientError;
use self::transport::{Ask, Base, Security, Transport, segment};
pub use self::usage::UsageQuery;
use crate::manifest::Manifest;
use crate::sse::Message;
use crate::view::{
    ComponentView, DeadLetterSummary, DeadLetterView, DeployedView, DiscardedView, EventView, HandlerView, Items,
    LogLineView, LostEventsView, LostLinesView, MessageView, Page, PublishedView, SettledView, SubscriptionView,
};
use crate::wire::belongs_to_request;

/// The header by which a publisher gives the event's id.
const ID_HEADER: &str = "hostel-id";

/// How long an ordinary call may take. Arbitrary; far beyond what a healthy host needs.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// How long the upload and the compilation of a component may take: a Python or JavaScript component compiles for
/// half a minute on a slow machine in a debug build.
const COMPILE_LIMIT: Duration = Duration::from_secs(300);

/// Where a host is, and whose things are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The admin API's base URL, such as `http://127.0.0.1:4301`.
    pub admin: String,
    /// The ingress's base URL, such as `http://127.0.0.1:4300`.
    pub ingress: String,
    /// The tenant.
    pub tenant: String,
}

/// A client of one host and tenant. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    admin: Base,
    ingress: Base,
    tenant: String,
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publication {
    /// Where.
    pub topic: String,
    /// The event's id; `None` lets the host choose.
    pub id: Option<String>,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// Any bytes.
    pub body: Bytes,
}

/// Which log lines to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Of one handler; `None` for all.
    pub handler: Option<String>,
    /// At most this many, the newest; `None` leaves it to the host.
    pub limit: Option<usize>,
}

/// Which dead letters to ask for. What is `None` does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterQuery {
    /// Of one handler.
    pub handler: Option<String>,
    /// Of one subscription, by its id.
    pub subscription: Option<String>,
    /// Of topics that this pattern hears.
    pub topic: Option<String>,
    /// With this text in their reason.
    pub reason: Option<String>,
    /// Given up then or later: a time, or how long ago.
    pub since: Option<String>,
    /// Given up before.
    pub until: Option<String>,
}

impl Client {
    /// A client of the host at `target`. Connects only when something is asked.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] when a base URL is not `http://host:port` or `https://host:port`.
    pub fn new(target: &Target) -> Result<Self, ClientError> {
        Self::over(target, &Tls::default())
    }

    /// The same, that believes hosts over TLS whose certificates the authorities in this PEM file vouch for, beside the
    /// system's. A host's own certificate vouches for itself.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] as for [`new`](Self::new), and when the file has no certificates.
    pub fn trusting(target: &Target, authorities: Option<&Path>) -> Result<Self, ClientError> {
        Self::over(target, &Tls { authorities: authorities.map(Path::to_owned), certificate: None })
    }

    /// The same, that also shows a certificate to a host which asks for one.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] as for [`trusting`](Self::trusting), and when certificate and key cannot be used.
    pub fn over(target: &Target, tls: &Tls) -> Result<Self, ClientError> {
        let (admin, ingress) = (Base::parse(&target.admin)?, Base::parse(&target.ingress)?);
        // Reading the system's authorities takes some milliseconds that a plain client need not wait for.
        let is_plain = *tls == Tls::default() && !admin.is_secure() && !ingress.is_secure();
        let security = if is_plain { Security::Plain } else { Security::Tls(tls) };
        Ok(Self { transport: Transport::new(security)?, admin, ingress, tenant: target.tenant.clone() })
    }

    /// The same client, showing a token with every request.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] when no token can look like this.
    pub fn with_token(self, token: &str) -> Result<Self, ClientError> {
        Ok(Self { transport: self.transport.with_token(token)?, ..self })
    }

    /// Whether the host is up and takes events.
    ///
    /// # Errors
    /// [`ClientError`]; a host that is not ready yet answers a problem or a status that says so.
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.transport.text(Ask::new(Method::GET, self.admin.url("/readyz"))).await.map(drop)
    }

    /// Which version the host is of; `None` if it is one that does not say so.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn version(&self) -> Result<Option<String>, ClientError> {
        #[derive(Deserialize)]
        struct Document {
            info: Info,
        }
        #[derive(Deserialize)]
        struct Info {
            version: String,
        }
        match self.transport.json::<Document>(Ask::new(Method::GET, self.admin.url("/v1/openapi.json"))).await {
            Ok(document) => Ok(Some(document.info.version)),
            Err(ClientError::Problem { problem, .. }) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands the host a component's bytes. `digest` is their SHA-256 in hexadecimal, with or without `sha256:`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_component(&self, digest: &str, bytes: Bytes) -> Result<ComponentView, ClientError> {
        let ask = Ask::new(Method::PUT, self.component_url(digest))
            .header(http::header::CONTENT_TYPE, HeaderValue::from_static("application/wasm"))
            .body(bytes)
            .within(COMPILE_LIMIT);
        self.transport.json(ask).await
    }

    /// The component of this digest, if the host has it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn component(&self, digest: &str) -> Result<Option<ComponentView>, ClientError> {
        match self.transport.json(Ask::new(Method::GET, self.component_url(digest))).await {
            Err(ClientError::Problem { problem, .. }) if problem.code == "E0015" => Ok(None),
            other => other.map(Some),
        }
    }

    /// Deploys a handler. The manifest's component is a digest whose bytes the host has.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deploy(&self, manifest: &Manifest) -> Result<DeployedView, ClientError> {
        let ask = Ask::new(Method::PUT, self.admin_url(&["handlers", &manifest.name]));
        self.transport.json(ask.json(manifest)?.within(COMPILE_LIMIT)).await
    }

    /// Every handler of the tenant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn handlers(&self) -> Result<Vec<HandlerView>, ClientError> {
        self.items(self.admin_url(&["handlers"])).await
    }

    /// One handler.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn handler(&self, name: &str) -> Result<HandlerView, ClientError> {
        self.transport.json(Ask::new(Method::GET, self.admin_url(&["handlers", name]))).await
    }

    /// Takes a handler away, and its subscriptions with it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn undeploy(&self, name: &str) -> Result<DiscardedView, ClientError> {
        self.transport.json(Ask::new(Method::DELETE, self.admin_url(&["handlers", name]))).await
    }

    /// Every subscription of the tenant.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn subscriptions(&self) -> Result<Vec<SubscriptionView>, ClientError> {
        self.items(self.admin_url(&["subscriptions"])).await
    }

    /// Starts nothing more of a subscription, given by its id, or of all that a handler has, given by its name. Says how
    /// they are doing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pause(&self, target: &str) -> Result<Vec<SubscriptionView>, ClientError> {
        self.gate(target, "pause").await
    }

    /// Lets a subscription go on, given by its id, or all that a handler has, given by its name. Says how they are doing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume(&self, target: &str) -> Result<Vec<SubscriptionView>, ClientError> {
        self.gate(target, "resume").await
    }

    async fn gate(&self, target: &str, verb: &str) -> Result<Vec<SubscriptionView>, ClientError> {
        let ask = Ask::new(Method::POST, self.admin_url(&["subscriptions", target, verb]));
        self.transport.json::<Items<SubscriptionView>>(ask).await.map(|list| list.items)
    }

    /// Deploys the version of a handler again that ran before the one that runs.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rollback(&self, name: &str) -> Result<DeployedView, ClientError> {
        let ask = Ask::new(Method::POST, self.admin_url(&["handlers", name, "rollback"]));
        self.transport.json(ask.within(COMPILE_LIMIT)).await
    }

    /// Dead letters, newest first: at most `limit`, those older than `before` if given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn dead_letters(
        &self,
        limit: usize,
        before: Option<&str>,
    ) -> Result<Page<DeadLetterSummary>, ClientError> {
        self.search_dead_letters(&DeadLetterQuery::default(), limit, before).await
    }

    /// The same of those only that are asked for.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn search_dead_letters(
        &self,
        wanted: &DeadLetterQuery,
        limit: usize,
        before: Option<&str>,
    ) -> Result<Page<DeadLetterSummary>, ClientError> {
        let limit = limit.to_string();
        let query = [
            ("limit", Some(limit.as_str())),
            ("before", before),
            ("handler", wanted.handler.as_deref()),
            ("subscription", wanted.subscription.as_deref()),
            ("topic", wanted.topic.as_deref()),
            ("reason", wanted.reason.as_deref()),
            ("since", wanted.since.as_deref()),
            ("until", wanted.until.as_deref()),
        ];
        self.transport.json(Ask::new(Method::GET, with_query(self.admin_url(&["dead-letters"]), &query))).await
    }

    /// One dead letter, whole.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn dead_letter(&self, id: &str) -> Result<DeadLetterView, ClientError> {
        self.transport.json(Ask::new(Method::GET, self.admin_url(&["dead-letters", id]))).await
    }

    /// Delivers a dead letter again, attempts counted anew.
    ///
    /// # Errors
    /// [`ClientError`]; the dead letter is then kept.
    pub async fn redrive(&self, id: &str) -> Result<DeadLetterSummary, ClientError> {
        self.transport.json(Ask::new(Method::POST, self.admin_url(&["dead-letters", id, "redrive"]))).await
    }

    /// The same with another message in the place of the event's own.
    ///
    /// # Errors
    /// [`ClientError`]; the dead letter is then kept as it was.
    pub async fn redrive_as(&self, id: &str, message: &MessageView) -> Result<DeadLetterSummary, ClientError> {
        let ask = Ask::new(Method::POST, self.admin_url(&["dead-letters", id, "redrive"]));
        self.transport.json(ask.json(message)?).await
    }

    /// Forgets a dead letter for good.
    ///
    /// # Errors
    /// [`ClientError`]; the dead letter is then kept.
    pub async fn drop_dead_letter(&self, id: &str) -> Result<DeadLetterSummary, ClientError> {
        self.transport.json(Ask::new(Method::DELETE, self.admin_url(&["dead-letters", id]))).await
    }

    /// Forgets what waits for a subscription that nobody has come for.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn drop_subscription(&self, id: &str) -> Result<DiscardedView, ClientError> {
        self.transport.json(Ask::new(Method::DELETE, self.admin_url(&["subscriptions", id]))).await
    }

    /// The newest log lines, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn logs(&self, query: &LogQuery) -> Result<Vec<LogLineView>, ClientError> {
        self.items(self.logs_url(query, false)).await
    }

    /// The newest log lines, oldest first, and then each as it comes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow_logs(&self, query: &LogQuery) -> Result<Followed<LogLineView>, ClientError> {
        let body = self.transport.stream(Ask::new(Method::GET, self.logs_url(query, true))).await?;
        Ok(Followed::new(body, "logs", |message| {
            item(message, "log", |data| serde_json::from_str::<LostLinesView>(data).map(|lost| lost.lines))
        }))
    }

    /// Publishes a message. Returns once the host has kept it.
    ///
    /// # Errors
    /// [`ClientError`]; a full host answers a problem with the time to wait.
    pub async fn publish(&self, publication: &Publication) -> Result<PublishedView, ClientError> {
        self.transport.json(self.publish_ask(publication, &[])?).await
    }

    /// Publishes a message and waits, at most `timeout`, until every subscription has settled it.
    ///
    /// # Errors
    /// [`ClientError`]. That the wait ended first is not an error but said in the answer.
    pub async fn publish_and_wait(
        &self,
        publication: &Publication,
        timeout: Duration,
    ) -> Result<SettledView, ClientError> {
        let text = format!("{}ms", timeout.as_millis());
        let query = [("wait", Some("settled")), ("timeout", Some(text.as_str()))];
        let ask = self.publish_ask(publication, &query)?;
        self.transport.json(ask.within(CALL_LIMIT.saturating_add(timeout))).await
    }

    /// Events on topics that match `pattern`, from now on, each as it comes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tail(&self, pattern: &str) -> Result<Followed<EventView>, ClientError> {
        let url = self.ingress.url(&format!("/topics/{}/events", segment(pattern)));
        let body = self.transport.stream(Ask::new(Method::GET, url)).await?;
        Ok(Followed::new(body, "events", |message| {
            item(message, "event", |data| serde_json::from_str::<LostEventsView>(data).map(|lost| lost.events))
        }))
    }

    async fn items<T: for<'de> Deserialize<'de>>(&self, url: String) -> Result<Vec<T>, ClientError> {
        self.transport.json::<Items<T>>(Ask::new(Method::GET, url)).await.map(|list| list.items)
    }

    fn admin_url(&self, segments: &[&str]) -> String {
        let path: String = segments.iter().map(|text| format!("/{}", segment(text))).collect();
        self.admin.url(&format!("/v1/tenants/{}{path}", segment(&self.tenant)))
    }

    fn component_url(&self, digest: &str) -> String {
        self.admin_url(&["components", digest.strip_prefix("sha256:").unwrap_or(digest)])
    }

    fn logs_url(&self, query: &LogQuery, follow: bool) -> String {
        let limit = query.limit.map(|limit| limit.to_string());
        let query =
            [("handler", query.handler.as_deref()), ("limit", limit.as_deref()), ("follow", follow.then_some("true"))];
        with_query(self.admin_url(&["logs"]), &query)
    }

    fn publish_ask(&self, publication: &Publication, query: &[(&str, Option<&str>)]) -> Result<Ask, ClientError> {
        let url = self.ingress.url(&format!("/topics/{}", segment(&publication.topic)));
        let mut ask = Ask::new(Method::POST, with_query(url, query)).body(publication.body.clone());
        for (name, value) in &publication.headers {
            ask = ask.header(header_name(name)?, header_value(name, value)?);
        }
        if let Some(id) = &publication.id {
            ask = ask.header(HeaderName::from_static(ID_HEADER), header_value(ID_HEADER, id)?);
        }
        Ok(ask)
    }
}

/// The item in a message of this kind, or how many were lost. Kinds that a newer host may have are passed over.
fn item<T: DeserializeOwned>(
    message: &Message,
    kind: &str,
    lost: fn(&str) -> Result<u64, serde_json::Error>,
) -> Result<Option<Item<T>>, serde_json::Error> {
    match message.event.as_str() {
        "lost" => lost(&message.data).map(|count| Some(Item::Lost(count))),
        event if event == kind => serde_json::from_str(&message.data).map(|item| Some(Item::Seen(item))),
        _ => Ok(None),
    }
}

fn with_query(url: String, query: &[(&str, Option<&str>)]) -> String {
    let pairs = query.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={}", segment(value))));
    let pairs: Vec<String> = pairs.collect();
    if pairs.is_empty() { url } else { format!("{url}?{}", pairs.join("&")) }
}

fn header_name(name: &str) -> Result<HeaderName, ClientError> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| ClientError::Invalid(format!("header name {name:?} cannot travel over HTTP")))?;
    if belongs_to_request(parsed.as_str()) {
        return Err(ClientError::Invalid(format!(
            "header `{name}` belongs to the request and would not become one of the message"
        )));
    }
    Ok(parsed)
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| ClientError::Invalid(format!("the value of header `{name}` has a control character")))
}

#[cfg(test)]
mod tests;
