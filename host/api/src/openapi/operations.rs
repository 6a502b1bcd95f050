//! What the document says of each route beyond the table of routes: names, parameters, what goes in and what comes out.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::manifest::Manifest;
use crate::peer::PeersView;
use crate::problem::Code;
use crate::registry::{ServiceView, VersionsView};
use crate::tenant::{TenantChangedView, TenantDeletedView, TenantDocument, TenantView};
use crate::token::{AuditView, CreatedTokenView, TokenRequest, TokenView};
use crate::usage::UsagePage;
use crate::view::{
    BatchView, ComponentView, DeadLetterSummary, DeadLetterView, DeployedView, DiscardedView, FilesView, HandlerView,
    Items, LogLineView, MessageView, Page, PublishedBatchView, PublishedView, ReplayView, SettledView,
    SubscriptionView,
};

/// Makes the schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a type, by reference if it has a name.
pub(super) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What is said of a route.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Unique; what generated clients call it.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) request: Option<Request>,
    pub(super) answer: Answer,
    /// Where it has a second way to succeed, or to say that it did not.
    pub(super) other: Option<Answer>,
    /// What can go wrong beyond what its path and right bring with them.
    pub(super) codes: &'static [Code],
}

/// A parameter of a query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) description: &'static str,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// A whole number.
    Count,
    /// A whole number, not 0.
    Rate,
    Flag,
    Span,
    Word(&'static [&'static str]),
}

/// What goes in.
pub(super) struct Request {
    pub(super) media: &'static str,
    /// `None`: any bytes.
    pub(super) shape: Option<Shape>,
    pub(super) required: bool,
    pub(super) description: &'static str,
}

/// What comes out.
pub(super) struct Answer {
    pub(super) status: u16,
    /// `None`: nothing comes.
    pub(super) media: Option<&'static str>,
    /// `None`: any text.
    pub(super) shape: Option<Shape>,
    pub(super) description: &'static str,
}

impl Operation {
    const fn with(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    const fn takes<T: JsonSchema>(self, description: &'static str) -> Self {
        let request = Request { media: "application/json", shape: Some(shape::<T>), required: true, description };
        Self { request: Some(request), ..self }
    }

    const fn may_take<T: JsonSchema>(self, description: &'static str) -> Self {
        let request = Request { media: "application/json", shape: Some(shape::<T>), required: false, description };
        Self { request: Some(request), ..self }
    }

    const fn takes_bytes(self, media: &'static str, description: &'static str) -> Self {
        Self { request: Some(Request { media, shape: None, required: false, description }), ..self }
    }

    const fn or(self, other: Answer) -> Self {
        Self { other: Some(other), ..self }
    }

    const fn fails(self, codes: &'static [Code]) -> Self {
        Self { codes, ..self }
    }
}

const fn operation(
    (method, path): (&'static str, &'static str),
    id: &'static str,
    summary: &'static str,
    answer: Answer,
) -> Operation {
    Operation { method, path, id, summary, query: &[], request: None, answer, other: None, codes: &[] }
}

const fn json<T: JsonSchema>(status: u16, description: &'static str) -> Answer {
    Answer { status, media: Some("application/json"), shape: Some(shape::<T>), description }
}

const fn text(status: u16, media: &'static str, description: &'static str) -> Answer {
    Answer { status, media: Some(media), shape: None, description }
}

const fn nothing(description: &'static str) -> Answer {
    Answer { status: 204, media: None, shape: None, description }
}

const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter { name, kind, required: false, description }
}

const fn required(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter { name, kind, required: true, description }
}

const LIMIT: Parameter = optional("limit", Kind::Count, "How many at most; the host has a limit of its own.");
const BEFORE: Parameter = optional("before", Kind::Text, "The `next` of the page before.");
const PAGED: &[Parameter] = &[LIMIT, BEFORE];

const HANDLER: Parameter = optional("handler", Kind::Text, "Only of this handler.");
const SUBSCRIPTION: Parameter = optional("subscription", Kind::Text, "Only of this subscription.");
const TOPIC: Parameter = optional("topic", Kind::Text, "Only of topics that this pattern hears.");
const REASON: Parameter = optional("reason", Kind::Text, "Only with this text in their reason.");
const SINCE: Parameter =
    optional("since", Kind::Text, "Only those given up then or later: a time in RFC 3339, or how long ago.");
const UNTIL: Parameter = optional("until", Kind::Text, "Only those given up before.");
const LETTERS: &[Parameter] = &[LIMIT, BEFORE, HANDLER, SUBSCRIPTION, TOPIC, REASON, SINCE, UNTIL];
const MANY_LETTERS: &[Parameter] = &[
    optional("all", Kind::Flag, "All of them; excludes a filter, and one of the two is needed."),
    optional("cursor", Kind::Text, "The `next` of the batch before."),
    HANDLER,
    SUBSCRIPTION,
    TOPIC,
    REASON,
    SINCE,
    UNTIL,
];
const REPLAYED: &[Parameter] = &[
    required(
        "from",
        Kind::Text,
        "Where to begin: `earliest`, a time in RFC 3339, how long ago, an offset, or an event's id.",
    ),
    optional("to", Kind::Text, "Where to end, written alike; absent: at what is the newest now."),
    optional("rate", Kind::Rate, "At most so many events a second."),
];
const LOGGED: &[Parameter] = &[
    HANDLER,
    optional("limit", Kind::Count, "How many lines at most, the newest."),
    optional("follow", Kind::Flag, "Whether to go on with what comes, as server-sent events."),
];
const CHANGED: &[Parameter] = &[HANDLER];
const FORCE: &[Parameter] = &[optional("force", Kind::Flag, "Even if it has handlers; they go with it.")];
const TTL: &[Parameter] = &[required("ttl", Kind::Span, "For how long the nodes are known: `1s` to `1day`.")];
const WATCHED: &[Parameter] = &[optional("service", Kind::Text, "Only of this service.")];
const PUBLISHED: &[Parameter] = &[
    optional("wait", Kind::Word(&["settled"]), "To be answered once every subscription is done with it."),
    optional("timeout", Kind::Span, "How long to wait at most; only with `wait`."),
];
const TAILED: &[Parameter] =
    &[optional("format", Kind::Word(&["cloudevents"]), "To get CloudEvents instead of the host's own shape.")];

const USED: &[Parameter] = &[
    optional("from", Kind::Text, "Since when: a time in RFC 3339, or how long ago; absent: a day ago."),
    optional("to", Kind::Text, "Until when; absent: now."),
    HANDLER,
    optional("group_by", Kind::Text, "What to sum up by, as `hostel usage --help` tells."),
    optional("format", Kind::Word(&["json", "csv"]), "In which format; CSV comes whole."),
    LIMIT,
    BEFORE,
];

const EVENTS: &str = "text/event-stream";
/// The other answer of what may take a while.
const FOLLOWED: Answer = text(
    200,
    EVENTS,
    "With `Accept: text/event-stream`: events `stage` as each stage begins, then `done` with the answer or `problem`.",
);
const PLAIN: &str = "text/plain";
const NAME: &[Code] = &[Code::MalformedName];
const REPLAY: &[Code] = &[Code::NothingKept, Code::ReplayUnderWay, Code::DiskFull, Code::LogUnusable];
const COMPONENT: &[Code] = &[
    Code::MalformedName,
    Code::NotWasm,
    Code::CoreModule,
    Code::UnknownWorld,
    Code::OtherContractVersion,
    Code::DamagedComponent,
    Code::ComponentTooLarge,
    Code::UnknownImport,
    Code::LimitsTooSmall,
    Code::DigestMismatch,
    Code::QuotaExceeded,
];
const DEPLOY: &[Code] = &[
    Code::MalformedName,
    Code::InitFailed,
    Code::LimitsTooSmall,
    Code::NothingKept,
    Code::LimitReached,
    Code::NotExported,
    Code::NoSecret,
];
const REDRIVE: &[Code] = &[Code::Overloaded, Code::QuotaExceeded, Code::BodyTooLarge, Code::MalformedHeaders];
const PUBLISH: &[Code] = &[
    Code::MalformedTopic,
    Code::MalformedHeaders,
    Code::Overloaded,
    Code::QuotaExceeded,
    Code::ShuttingDown,
    Code::DiskFull,
    Code::LogUnusable,
    Code::MalformedCloudEvent,
    Code::UnknownEventFormat,
    Code::BatchInPart,
];
const REGISTRY: &[Code] = &[Code::RegistryUnreachable];
const SERVICE: &[Code] = &[Code::ServiceRefused, Code::RegistryUnreachable];

/// Every operation, in the order of the routes.
pub(super) static OPERATIONS: &[Operation] = &[
    operation(("GET", "/healthz"), "health", "Says that the host is up", text(200, PLAIN, "It is.")),
    operation(("GET", "/readyz"), "readiness", "Says whether the host takes events", text(200, PLAIN, "It does."))
        .or(text(503, PLAIN, "It does not, and why.")),
    operation(
        ("GET", "/metrics"),
        "metrics",
        "The host's numbers for Prometheus; of the tenant's alone if the token is a tenant's",
        text(200, PLAIN, "Prometheus' text format."),
    ),
    operation(("GET", "/v1/openapi.json"), "openapi", "This document", text_json("The document, in OpenAPI 3.1.")),
    operation(("GET", "/v1/docs"), "docs", "This document for people", text(200, "text/html", "A page.")),
    operation(
        ("GET", "/v1/tenants"),
        "listTenants",
        "Lists the tenants by name",
        json::<Page<TenantView>>(200, "Some of them."),
    )
    .with(PAGED)
    .fails(NAME),
    operation(("GET", "/v1/tenants/{tenant}"), "getTenant", "Shows a tenant", json::<TenantView>(200, "The tenant.")),
    operation(
        ("PUT", "/v1/tenants/{tenant}"),
        "putTenant",
        "Creates or changes a tenant",
        json::<TenantChangedView>(200, "It was there and is like this now."),
    )
    .or(json::<TenantChangedView>(201, "It was created."))
    .takes::<TenantDocument>("All that is to be said of it; what is left out is not limited.")
    .fails(&[Code::MalformedName, Code::TenantOfConfig, Code::LimitReached]),
    operation(
        ("DELETE", "/v1/tenants/{tenant}"),
        "deleteTenant",
        "Deletes a tenant with all that it has",
        json::<TenantDeletedView>(200, "What went with it."),
    )
    .with(FORCE)
    .fails(&[Code::TenantNotEmpty, Code::TenantOfConfig]),
    operation(
        ("GET", "/v1/tenants/{tenant}/tokens"),
        "listTokensOfTenant",
        "Lists a tenant's tokens",
        json::<Items<TokenView>>(200, "All of them, without what makes them tokens."),
    ),
    operation(
        ("POST", "/v1/tenants/{tenant}/tokens"),
        "createTokenOfTenant",
        "Makes a token for a tenant",
        json::<CreatedTokenView>(201, "The token. Nobody can be told it a second time."),
    )
    .takes::<TokenRequest>("What it is to be.")
    .fails(&[Code::MalformedName, Code::LimitReached, Code::CertificateTaken]),
    operation(
        ("DELETE", "/v1/tenants/{tenant}/tokens/{id}"),
        "revokeTokenOfTenant",
        "Revokes a token of a tenant",
        json::<TokenView>(200, "What it was."),
    ),
    operation(
        ("GET", "/v1/tenants/{tenant}/audit"),
        "auditOfTenant",
        "Shows who changed what in a tenant, the newest first",
        json::<Page<AuditView>>(200, "Some of it."),
    )
    .with(PAGED),
    operation(
        ("PUT", "/v1/tenants/{tenant}/components/{digest}"),
        "putComponent",
        "Hands the host a component's bytes; with `Accept: text/event-stream` it says on the way how far it is",
        json::<ComponentView>(200, "It is kept and fits."),
    )
    .or(FOLLOWED)
    .takes_bytes("application/octet-stream", "The bytes. `application/wasm` is as good.")
    .fails(COMPONENT),
    operation(
        ("GET", "/v1/tenants/{tenant}/components/{digest}"),
        "getComponent",
        "Says whether the host has a component",
        json::<ComponentView>(200, "It has."),
    ),
    operation(
        ("PUT", "/v1/tenants/{tenant}/files/{digest}"),
        "putFiles",
        "Hands the host a bundle of files that handlers read",
        json::<FilesView>(200, "It is kept."),
    )
    .takes_bytes("application/octet-stream", "A tar file of plain files and folders. `application/x-tar` is as good.")
    .fails(&[Code::MalformedName, Code::DigestMismatch, Code::BundleRefused]),
    operation(
        ("GET", "/v1/tenants/{tenant}/files/{digest}"),
        "getFiles",
        "Says whether the host has a bundle of files",
        json::<FilesView>(200, "It has."),
    ),
    operation(
        ("GET", "/v1/tenants/{tenant}/handlers"),
        "listHandlers",
        "Lists a tenant's handlers by name",
        json::<Items<HandlerView>>(200, "All of them."),
    ),
    operation(
        ("GET", "/v1/tenants/{tenant}/handlers/{name}"),
        "getHandler",
        "Shows a handler",
        json::<HandlerView>(200, "The handler."),
    ),
    operation(
        ("PUT", "/v1/tenants/{tenant}/handlers/{name}"),
        "deploy",
        "Deploys a handler, or a new version of it; with `Accept: text/event-stream` it says on the way how far it is",
        json::<DeployedView>(200, "It runs."),
    )
    .or(FOLLOWED)
    .takes::<Manifest>("The manifest, which names an uploaded component by its digest.")
    .fails(DEPLOY),
    operation(
        ("DELETE", "/v1/tenants/{tenant}/handlers/{name}"),
        "undeploy",
        "Takes a handler away, and what waits for it",
        json::<DiscardedView>(200, "What waited for it."),
    ),
    operation(
        ("POST", "/v1/tenants/{tenant}/handlers/{name}/rollback"),
        "rollback",
        "Brings back the version that ran before this one; may be followed as a deployment may",
        json::<DeployedView>(200, "It runs."),
    )
    .or(FOLLOWED)
    .fails(DEPLOY),
    operation(
        ("GET", "/v1/tenants/{tenant}/subscriptions"),
        "listSubscriptions",
        "Lists a tenant's subscriptions and how they are doing",
        json::<Items<SubscriptionView>>(200, "All of them."),
    ),
    operation(
        ("DELETE", "/v1/tenants/{tenant}/subscriptions/{id}"),
        "dropSubscription",
        "Drops what is kept for a subscription that nobody has come for",
        json::<DiscardedView>(200, "What was kept."),
    ),
    operation(
        ("POST", "/v1/tenants/{tenant}/subscriptions/{id}/pause"),
        "pause",
        "Starts nothing more of a subscription or handler",
        json::<Items<SubscriptionView>>(200, "Those that are paused."),
    ),
    operation(
        ("POST", "/v1/tenants/{tenant}/subscriptions/{id}/resume"),
        "resume",
        "Lets a subscription or handler go on",
        json::<Items<SubscriptionView>>(200, "Those that go on."),
    ),
    operation(
        ("GET", "/v1/tenants/{tenant}/subscriptions/{id}/replay"),
        "getReplay",
        "Says how far the replays of a subscription or handler are",
        json::<Items<ReplayView>>(200, "Those that are not over."),
    ),
    operation(
        ("POST", "/v1/tenants/{tenant}/subscriptions/{id}/replay"),
        "beginReplay",
        "Delivers again what is kept",
        json::<Items<ReplayView>>(200, "Those that began."),
    )
    .with(REPLAYED)
    .fails(REPLAY),
    operation(
        ("DELETE", "/v1/tenants/{tenant}/subscriptions/{id}/replay"),
        "endReplay",
        "Ends the replays of a subscription or handler",
        json::<Items<ReplayView>>(200, "How far they were."),
    )
    .fails(REPLAY),
    operation(
        ("GET", "/v1/tenants/{tenant}/replays"),
        "listReplays",
        "Lists a tenant's replays",
        json::<Items<ReplayView>>(200, "Those that are not over."),
    ),
    operation(
        ("GET", "/v1/tenants/{tenant}/dead-letters"),
        "listDeadLetters",
        "Lists the events that were given up, the newest first",
        json::<Page<DeadLetterSummary>>(200, "Some of them."),
    )
    .with(LETTERS)
    .fails(NAME),
    operation(
        ("DELETE", "/v1/tenants/{tenant}/dead-letters"),
        "dropDeadLetters",
        "Forgets a batch of dead letters for good",
        json::<BatchView>(200, "What was done."),
    )
    .with(MANY_LETTERS)
    .fails(NAME),
    operation(
        ("POST", "/v1/tenants/{tenant}/dead-letters/redrive"),
        "redriveDeadLetters",
        "Delivers a batch of dead letters again",
        json::<BatchView>(200, "What was done."),
    )
    .with(MANY_LETTERS)
    .fails(&[Code::MalformedName, Code::Overloaded, Code::QuotaExceeded, Code::BodyTooLarge]),
    operation(
        ("GET", "/v1/tenants/{tenant}/dead-letters/{id}"),
        "getDeadLetter",
        "Shows a dead letter whole",
        json::<DeadLetterView>(200, "The dead letter."),
    ),
    operation(
        ("DELETE", "/v1/tenants/{tenant}/dead-letters/{id}"),
        "dropDeadLetter",
        "Forgets a dead letter for good",
        json::<DeadLetterSummary>(200, "What it was."),
    ),
    operation(
        ("POST", "/v1/tenants/{tenant}/dead-letters/{id}/redrive"),
        "redriveDeadLetter",
        "Delivers a dead letter again",
        json::<DeadLetterSummary>(200, "What it was."),
    )
    .may_take::<MessageView>("A message to take the place of its own; nothing: as it is.")
    .fails(REDRIVE),
    operation(
        ("GET", "/v1/tenants/{tenant}/logs"),
        "logs",
        "Shows what handlers logged, the oldest first; with `follow=true` as server-sent events `log` and `lost`",
        json::<Items<LogLineView>>(200, "The lines."),
    )
    .with(LOGGED)
    .fails(NAME),
    operation(
        ("GET", "/v1/tenants/{tenant}/changes"),
        "changes",
        "Follows what changes of a tenant's handlers: deployed, rolled back, undeployed, paused, quarantined, resumed",
        text(200, EVENTS, "Events `change` with a ChangeView, and `lost` with a count."),
    )
    .with(CHANGED)
    .fails(NAME),
    operation(
        ("GET", "/v1/tenants/{tenant}/usage"),
        "usageOfTenant",
        "Shows what a tenant's handlers used",
        json::<UsagePage>(200, "Some of it, or all as CSV."),
    )
    .or(text(200, "text/csv", "All of it."))
    .with(USED)
    .fails(NAME),
    operation(
        ("GET", "/v1/usage"),
        "usageOfHost",
        "Shows what all handlers used",
        json::<UsagePage>(200, "Some of it, or all as CSV."),
    )
    .or(text(200, "text/csv", "All of it."))
    .with(USED)
    .fails(NAME),
    operation(
        ("GET", "/v1/tokens"),
        "listTokensOfHost",
        "Lists the host's own tokens",
        json::<Items<TokenView>>(200, "All of them, without what makes them tokens."),
    ),
    operation(
        ("POST", "/v1/tokens"),
        "createTokenOfHost",
        "Makes a token of the host",
        json::<CreatedTokenView>(201, "The token. Nobody can be told it a second time."),
    )
    .takes::<TokenRequest>("What it is to be.")
    .fails(&[Code::MalformedName, Code::LimitReached, Code::CertificateTaken]),
    operation(
        ("DELETE", "/v1/tokens/{id}"),
        "revokeTokenOfHost",
        "Revokes a token of the host",
        json::<TokenView>(200, "What it was."),
    ),
    operation(
        ("GET", "/v1/audit"),
        "auditOfHost",
        "Shows who changed what, the newest first",
        json::<Page<AuditView>>(200, "Some of it."),
    )
    .with(PAGED),
    operation(
        ("GET", "/v1/peers"),
        "listPeers",
        "Lists who gets events over the network",
        json::<PeersView>(200, "All of them."),
    ),
    operation(
        ("GET", "/v1/registry/services"),
        "listServices",
        "Lists the services that the registry knows",
        json::<Items<ServiceView>>(200, "Each version of each, without nodes."),
    )
    .fails(REGISTRY),
    operation(
        ("POST", "/v1/registry/services"),
        "registerService",
        "Registers nodes of a service for a time",
        nothing("They are known."),
    )
    .with(TTL)
    .takes::<ServiceView>("The service with its nodes.")
    .fails(SERVICE),
    operation(
        ("DELETE", "/v1/registry/services"),
        "deregisterService",
        "Takes nodes of a service out",
        nothing("They are not known."),
    )
    .takes::<ServiceView>("The service with its nodes.")
    .fails(SERVICE),
    operation(
        ("GET", "/v1/registry/services/{name}"),
        "getService",
        "Looks a service up",
        json::<VersionsView>(200, "Every version with its nodes."),
    )
    .fails(REGISTRY),
    operation(
        ("GET", "/v1/registry/watch"),
        "watchServices",
        "Follows changes of services",
        text(200, EVENTS, "Events `create`, `update` and `delete` with a ServiceView; `lost` with a count."),
    )
    .with(WATCHED)
    .fails(REGISTRY),
    operation(
        ("POST", "/topics/{topic}"),
        "publish",
        "Publishes an event, or a batch of CloudEvents",
        json::<OneOrMany>(202, "It is kept and will be delivered."),
    )
    .or(json::<SettledView>(200, "It is settled, or the wait ended."))
    .with(PUBLISHED)
    .takes_bytes(
        "application/octet-stream",
        "The body: any bytes of any type. Request headers become the event's. `application/cloudevents+json` is a \
         CloudEvent, `application/cloudevents-batch+json` many.",
    )
    .fails(PUBLISH),
    operation(
        ("GET", "/topics/{pattern}/events"),
        "tail",
        "Follows the events of topics",
        text(200, EVENTS, "Events `event` with an EventView, and `lost` with a count."),
    )
    .with(TAILED)
    .fails(&[Code::MalformedName]),
    operation(
        ("POST", "/"),
        "receive",
        "Takes a message of a go-micro publisher, in go-micro's own words",
        text(200, PLAIN, "It is kept."),
    )
    .or(text(500, PLAIN, "It cannot be taken, and why: go-micro has no other status for that."))
    .takes_bytes("application/json", "As `docs/wire/gomicro-http.md` says."),
    operation(
        ("POST", "/_sub"),
        "receiveOfFirstGeneration",
        "Takes a message of a go-micro v1 publisher",
        text(200, PLAIN, "It is kept."),
    )
    .or(text(500, PLAIN, "It cannot be taken, and why: go-micro has no other status for that."))
    .takes_bytes("application/json", "As `docs/wire/gomicro-http.md` says."),
];

/// What a publisher is answered: of one event this, of a batch that.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only the shapes of its parts are used; the server writes one or the other")]
enum OneOrMany {
    /// One event.
    One(PublishedView),
    /// A batch of CloudEvents.
    Many(PublishedBatchView),
}

const fn text_json(description: &'static str) -> Answer {
    Answer { status: 200, media: Some("application/json"), shape: Some(shape::<serde_json::Value>), description }
}
