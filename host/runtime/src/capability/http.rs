//! `wasi:http/outgoing-handler`: requests to where the handler's manifest names.
//!
//! Resources and streams are wasmtime's; what is decided here is which requests go out. Sending is in
//! [`outgoing`](crate::outgoing).

mod counted;

use std::net::IpAddr;
use std::sync::Arc;

use hostel_event::destination::{Origin, is_public, may_connect};
use hostel_event::handler::Handler;
use hostel_event::outcome::Level;
use http::Request;
use http::uri::Scheme;
use parking_lot::Mutex;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::log::Recorder;
use crate::meter::Meter;
use crate::outgoing::{Outgoing, Sent};
use crate::state::State;

/// What a guest sends through while it handles one event.
pub(crate) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
}

/// Looks at requests before they go out.
struct Hooks {
    handler: Arc<Handler>,
    log: Arc<Mutex<Recorder>>,
    meter: Arc<Meter>,
    outgoing: Arc<Outgoing>,
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Http { context, hooks } = self.http.get_or_insert_with(|| Http {
            context: WasiHttpCtx::new(),
            hooks: Hooks {
                handler: Arc::clone(&self.handler),
                log: Arc::clone(&self.log),
                meter: Arc::clone(&self.meter),
                outgoing: Arc::clone(&self.outgoing),
            },
        });
        WasiHttpCtxView { hooks, table: &mut self.table, ctx: context }
    }
}

type Sending = Box<dyn Future<Output = Result<Sent, Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sending {
        let origin = match self.admit(&request) {
            Ok(origin) => origin,
            Err(error) => return Box::new(std::future::ready(Err(error))),
        };
        let (handler, log, outgoing) = (Arc::clone(&self.handler), Arc::clone(&self.log), Arc::clone(&self.outgoing));
        self.meter.traffic.called();
        let meter = Arc::clone(&self.meter);
        Box::new(async move {
            let allows = |address: IpAddr| {
                let Some(why) = private(&handler, &origin, address, &outgoing) else { return true };
                log.lock().note(Level::Warn, &why);
                false
            };
            let gave = Arc::clone(&meter);
            let request = request.map(|body| counted::body(body, move |bytes| gave.traffic.gave(bytes)));
            let to = (&handler.tenant, &origin);
            let sent = outgoing.send(request, to, options.unwrap_or_default(), allows).await;
            if matches!(sent, Err(Error::DestinationIpProhibited)) {
                meter.traffic.deny();
            }
            let (response, connection) = sent?;
            Ok((response.map(|body| counted::body(body, move |bytes| meter.traffic.got(bytes))), connection))
        })
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        if error.is_incomplete_message() { ErrorCode::HttpResponseIncomplete } else { ErrorCode::HttpProtocolError }
    }

    fn p2_error_from_connect(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::ConnectionRefused
    }

    fn p2_error_from_tls(&mut self, error: &std::io::Error) -> ErrorCode {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidCertificate(_)) => ErrorCode::TlsCertificateError,
            _ => ErrorCode::TlsProtocolError,
        }
    }
}

impl Hooks {
    /// Checks where a request wants to go, and whether it may.
    fn admit(&self, request: &Request<WasiBody>) -> Result<Origin, Error> {
        let uri = request.uri();
        let secure = uri.scheme() != Some(&Scheme::HTTP);
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let origin = Origin::parse(secure, authority).ok_or(Error::HttpRequestUriInvalid)?;
        let (method, path) = (request.method().as_str(), uri.path());
        if self.handler.grants.http.iter().any(|destination| destination.includes(method, &origin, path)) {
            return Ok(origin);
        }
        let text = format!(
            "handler `{}` may not send {method} to {origin}{path}; add `http = [\"{origin}\"]` to handler.toml",
            self.handler.name
        );
        self.log.lock().note(Level::Warn, &text);
        self.meter.traffic.deny();
        Err(Error::HttpRequestDenied)
    }
}

/// Why a request may not go to an address: one that is not public must be named by the manifest and opened by the
/// operator.
fn private(handler: &Handler, origin: &Origin, address: IpAddr, outgoing: &Outgoing) -> Option<String> {
    let why = if !may_connect(&handler.grants.http, origin, address) {
        let named = Origin { host: address.to_string(), ..origin.clone() };
        format!("add \"{named}\" to `http` in handler.toml if it is meant")
    } else if !is_public(address) && !outgoing.is_opened(address) {
        format!("the operator must add \"{address}\" to `runtime.private_addresses` in hostel.toml if it is meant")
    } else {
        return None;
    };
    Some(format!(
        "handler `{}` may not connect to {address}, to which `{}` leads: the address is not public; {why}",
        handler.name, origin.host
    ))
}
