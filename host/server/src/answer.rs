//! Answers: JSON, and problems. The only place that chooses a status.

use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use hostel_api::problem::{Code, MEDIA_TYPE, Problem};
use hostel_event::name::NameError;
use hostel_event::pattern::PatternError;
use hostel_event::port::{DeadLetterError, PublishError, RegistryError};
use hostel_event::topic::TopicError;
use hostel_runtime::{InitError, LoadError, PrepareError};

use crate::deploy::Refusal;
use crate::telemetry;

/// A value as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => with_type(status, "application/json", Body::from(bytes)),
        Err(error) => Failure::internal(&format!("cannot write the answer: {error}")).into_response(),
    }
}

pub(crate) fn with_type(status: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The code of a problem, in the extensions of its answer, for those who write down what came of a request.
#[derive(Debug, Clone)]
pub(crate) struct Refused(pub(crate) String);

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Boxed, for it is large and travels in every result.
    problem: Box<Problem>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    /// The rest of the request was not read, so the connection cannot carry another.
    close: bool,
    /// Who asks is told how to say who that is.
    challenge: bool,
}

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            problem: Box::new(Problem::new(code, detail)),
            retry_after: None,
            allow: None,
            close: false,
            challenge: false,
        }
    }

    /// The host's own fault: the log gets the detail, the caller a number to name.
    pub(crate) fn internal(detail: &str) -> Self {
        telemetry::internal_error(detail);
        Self::new(Code::Internal, "the host could not do this; its log says why")
    }

    pub(crate) fn unknown_path(path: &str) -> Self {
        Self::new(Code::UnknownPath, format!("there is nothing at `{path}`"))
    }

    pub(crate) fn method(method: &http::Method, path: &str, allow: &'static str) -> Self {
        let failure = Self::new(Code::MethodNotAllowed, format!("`{path}` does not take {method}, only {allow}"));
        Self { allow: Some(allow), ..failure }
    }

    pub(crate) fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// Refused before anything of the body was read: if there is one, the connection cannot carry another request.
    pub(crate) fn leaving(self, body: &impl hyper::body::Body) -> Self {
        if body.is_end_stream() { self } else { self.closing() }
    }

    /// With the header that asks for a token (RFC 6750, section 3).
    pub(crate) fn challenge(self) -> Self {
        Self { challenge: true, ..self }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { problem: Box::new(self.problem.with_status(status.as_u16())), ..self }
    }

    /// Of one event of a batch, counted from 0.
    pub(crate) fn of_event(mut self, index: usize) -> Self {
        self.problem.detail = format!("event {index} of the batch: {}", self.problem.detail);
        self
    }

    /// Of what was done in part before: with another code, and a text before its own. Status and advice stay.
    pub(crate) fn in_part(self, code: Code, text: &str) -> Self {
        let detail = format!("{text}: {}", self.problem.detail);
        Self { problem: Box::new(Problem::new(code, detail).with_status(self.problem.status)), ..self }
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.problem.status
    }

    /// Its code and its text, for an answer that tells of several.
    pub(crate) fn told(self) -> (String, String) {
        let Problem { code, detail, .. } = *self.problem;
        (code, detail)
    }

    /// With a hint that knows more of this one case.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { problem: Box::new(self.problem.with_hint(hint)), ..self }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response<Body> {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Plain strings and numbers always serialize.
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = with_type(status, MEDIA_TYPE, Body::from(body));
        response.extensions_mut().insert(Refused(self.problem.code));
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            // Whole seconds, rounded up: sooner would be in vain.
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000) as u64));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hostel\""));
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let detail = error.to_string();
        match error {
            PublishError::TooLarge { .. } => {
                Self::new(Code::BodyTooLarge, detail).hint("send less, or raise the host's `ingress.message_limit`")
            }
            PublishError::Id(_) => Self::new(Code::MalformedHeaders, detail)
                .hint("give `Hostel-Id` 1 to 255 bytes without control characters, or leave it to the host"),
            PublishError::Header(_) | PublishError::Timing(_) => Self::new(Code::MalformedHeaders, detail),
            PublishError::Overloaded { retry_after, .. } => {
                Self { retry_after: Some(retry_after), ..Self::new(Code::Overloaded, detail) }
            }
            PublishError::Quota { retry_after, .. } => {
                Self { retry_after: Some(retry_after), ..Self::new(Code::QuotaExceeded, detail) }
            }
            PublishError::Full(_) => Self::new(Code::DiskFull, detail),
            PublishError::Unavailable(_) => Self::new(Code::LogUnusable, detail),
            PublishError::Closed => Self::new(Code::ShuttingDown, detail).closing(),
            _ => Self::internal(&detail),
        }
    }
}

impl From<TopicError> for Failure {
    fn from(error: TopicError) -> Self {
        Self::new(Code::MalformedTopic, error.to_string())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::new(Code::MalformedName, error.to_string())
    }
}

impl From<PatternError> for Failure {
    fn from(error: PatternError) -> Self {
        Self::new(Code::MalformedName, error.to_string())
    }
}

impl From<DeadLetterError> for Failure {
    fn from(error: DeadLetterError) -> Self {
        let detail = error.to_string();
        match error {
            DeadLetterError::Publish(error) => error.into(),
            DeadLetterError::Unknown(_) => Self::new(Code::NotFound, detail),
            DeadLetterError::NoSubscription(_) => {
                Self::new(Code::NotFound, detail).hint("deploy the handler again, then redrive")
            }
            _ => Self::internal(&detail),
        }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let detail = error.to_string();
        match error {
            RegistryError::NotFound(_) => {
                Self::new(Code::NotFound, detail).hint("`hostel services` lists those that are there")
            }
            RegistryError::Refused { .. } => Self::new(Code::ServiceRefused, detail),
            RegistryError::Unreachable(_) => Self::new(Code::RegistryUnreachable, detail),
            _ => Self::internal(&detail),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let code = match &refusal {
            Refusal::Name(_) => Code::MalformedName,
            Refusal::Manifest(_) => Code::MalformedDocument,
            Refusal::NothingKept(_) => Code::NothingKept,
            Refusal::Digest { .. } => Code::DigestMismatch,
            Refusal::Bundle(_) => Code::BundleRefused,
            Refusal::NoComponent(_) | Refusal::NoFiles(_) => {
                return Self::new(Code::NotFound, detail).hint("`hostel deploy` uploads it before it deploys");
            }
            Refusal::NoPrevious(_) => {
                return Self::new(Code::NotFound, detail)
                    .hint("a host remembers one version before the one that runs; deploy the one that you want");
            }
            Refusal::Full(_) => Code::DiskFull,
            Refusal::Unavailable(_) => Code::LogUnusable,
            Refusal::Ending => Code::ShuttingDown,
            Refusal::NoHandler(_) | Refusal::NoTenant(_) => Code::NotFound,
            Refusal::TenantOfConfig(_) => Code::TenantOfConfig,
            Refusal::TenantNotEmpty(_) => Code::TenantNotEmpty,
            Refusal::Limit(_) => Code::LimitReached,
            Refusal::CertificateTaken(_) => Code::CertificateTaken,
            Refusal::NotExported { .. } => Code::NotExported,
            Refusal::NoSecret { .. } => Code::NoSecret,
            Refusal::Load(error) => match load_code(error) {
                Some(code) => code,
                None => return Self::internal(&detail),
            },
            Refusal::Prepare(PrepareError::MemoryLimit { .. }) => {
                return Self::new(Code::LimitsTooSmall, detail)
                    .hint("ask for less in `[limits]`, or raise the host's `runtime.memory_limit`");
            }
            Refusal::Prepare(_) => Code::LimitsTooSmall,
            Refusal::Init(failure) => match &failure.error {
                InitError::Limits(_) => Code::LimitsTooSmall,
                _ => Code::InitFailed,
            },
            Refusal::Subscribe(_) | Refusal::Internal(_) => return Self::internal(&detail),
        };
        Self::new(code, detail)
    }
}

/// The code and the text of a refusal, for where there is no request to answer.
pub(crate) fn refused(refusal: Refusal) -> (Code, String) {
    let Problem { code, detail, .. } = *Failure::from(refusal).problem;
    (code.parse().unwrap_or(Code::Internal), detail)
}

/// The code of what is wrong with a component; `None` if nothing is.
pub(crate) fn load_code(error: &LoadError) -> Option<Code> {
    match error {
        LoadError::NotWasm(_) => Some(Code::NotWasm),
        LoadError::CoreModule => Some(Code::CoreModule),
        LoadError::NoWorld { .. } => Some(Code::UnknownWorld),
        LoadError::OtherVersion { .. } => Some(Code::OtherContractVersion),
        LoadError::Damaged { .. } => Some(Code::DamagedComponent),
        LoadError::TooLarge { .. } => Some(Code::ComponentTooLarge),
        LoadError::Imports(_) => Some(Code::UnknownImport),
        LoadError::Limits(_) => Some(Code::LimitsTooSmall),
        _ => None,
    }
}
