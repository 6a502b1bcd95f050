//! The client behind `wasi:http/outgoing-handler`: one for the host, a connection for each request.
//!
//! It resolves a name once, looks at each address before it connects, and connects to what it looked at, so that a name
//! that changes between the two leads nowhere else. What a guest may send to is decided in
//! [`capability::http`](crate::capability::http). It follows no redirects: that is the guest's business, and each of its
//! requests is looked at.
//!
//! A tenant that has as many connections open as its quota allows waits for one of its own to end.
//!
//! Whatever waits here is dropped with the guest's store, and so ends by the guest's deadline.

pub(crate) mod network;
mod share;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use hostel_event::destination::Origin;
use hostel_event::name::Tenant;

use crate::provision::Provision;
use crate::settings::Settings;

use network::Network;
use share::{Share, Shares};

/// The longest wait for a connection to one address, unless the guest asks for less. Arbitrary; the deadline is usually
/// sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an answer's head, and the most headers in it.
const HEAD_BYTES: usize = 64 * 1024;
const HEADERS: usize = 128;

/// Sends requests, at most so many at the same time.
pub(crate) struct Outgoing {
    room: Arc<Semaphore>,
    shares: Arc<Shares>,
    provision: Arc<dyn Provision>,
    private_addresses: Vec<Network>,
    /// The most bytes of a body, either way.
    body_limit: u64,
    /// Made when the first guest wants it: reading the system's certificates takes some milliseconds.
    tls: OnceCell<TlsConnector>,
}

/// What a request ends in: an answer, and what drives its connection.
pub(crate) type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl Outgoing {
    pub(crate) fn new(settings: &Settings, provision: Arc<dyn Provision>) -> Self {
        Self {
            room: Arc::new(Semaphore::new(settings.connections.min(Semaphore::MAX_PERMITS))),
            shares: Arc::default(),
            provision,
            private_addresses: settings.private_addresses.clone(),
            body_limit: u64::try_from(settings.transfer_limit).unwrap_or(u64::MAX),
            tls: OnceCell::new(),
        }
    }

    /// Whether the operator lets guests connect to an address that is not public.
    pub(crate) fn is_opened(&self, address: IpAddr) -> bool {
        self.private_addresses.iter().any(|network| network.contains(address))
    }

    /// Sends a tenant's request to an address of its origin that `may_connect` allows.
    ///
    /// # Errors
    /// [`Error::DestinationIpProhibited`] if none is allowed, [`Error::ConnectionLimitReached`] if the tenant may have no
    /// connections; whatever goes wrong on the way.
    pub(crate) async fn send(
        &self,
        mut request: Request<WasiBody>,
        (tenant, origin): (&Tenant, &Origin),
        options: RequestOptions,
        may_connect: impl Fn(IpAddr) -> bool,
    ) -> Result<Sent, Error> {
        // Its own share first: who waits for that must not keep others from theirs.
        let share = self.shares.take(tenant, || self.provision.connections(tenant)).await;
        let share = share.map_err(|_| Error::ConnectionLimitReached)?;
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
        let room = (share, room);
        let patience = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT);
        let stream = connect(&resolve(origin, may_connect).await?, patience).await?;
        // HTTP/1.1 names the host in a header, and only the path on the first line.
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
        let limit = self.body_limit;
        let request = request.map(|body| Bounded::new(body, limit, Error::HttpRequestBodySize).boxed_unsync());
        let (response, connection) = if origin.secure {
            let tls = self.tls.get_or_try_init(trusting).await?;
            let name = ServerName::try_from(origin.host.clone()).map_err(|_| Error::HttpRequestUriInvalid)?;
            let stream = tls.connect(name, stream).await.map_err(Error::Tls)?;
            exchange(TokioIo::new(stream), request, (options, room)).await?
        } else {
            exchange(TokioIo::new(stream), request, (options, room)).await?
        };
        let announced = response.body().size_hint().lower();
        if announced > limit {
            return Err(Error::HttpResponseBodySize(Some(announced)));
        }
        let pause = options.between_bytes_timeout;
        let response = response.map(|body| {
            Bounded::new(body.map_err(Error::from), limit, Error::HttpResponseBodySize).within(pause).boxed_unsync()
        });
        Ok((response, connection))
    }
}

/// Believes those whom the system believes.
async fn trusting() -> Result<TlsConnector, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::InternalError(Some(format!("cannot prepare TLS: {error}")));
    let certificates = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.await.map_err(|error| failed(&error))?.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(|error| failed(&error))?.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The addresses of a host that are allowed.
async fn resolve(origin: &Origin, may_connect: impl Fn(IpAddr) -> bool) -> Result<Vec<SocketAddr>, Error> {
    let found = tokio::net::lookup_host((origin.host.as_str(), origin.port));
    let found: Vec<SocketAddr> = match found.await {
        Ok(found) => found.collect(),
        Err(error) => return Err(Error::DnsError { rcode: Some(error.to_string()), info_code: None }),
    };
    let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| may_connect(address.ip())).collect();
    if allowed.is_empty() { Err(Error::DestinationIpProhibited) } else { Ok(allowed) }
}

/// Connects to the first address that answers.
async fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, Error> {
    let mut failure = Error::DestinationNotFound;
    for address in addresses {
        match tokio::time::timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it the last part of a body may wait for an acknowledgement; refused only by a dead socket.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Error::Connect(error),
            Err(_) => failure = Error::ConnectionTimeout,
        }
    }
    Err(failure)
}

type Exchanged = (Response<hyper::body::Incoming>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// Sends a request over a connection of its own and waits for the head of the answer. The room is given back when the
/// connection ends.
async fn exchange<S: Read + Write + Send + Unpin + 'static>(
    stream: S,
    request: Request<WasiBody>,
    (options, room): (RequestOptions, (Share, OwnedSemaphorePermit)),
) -> Result<Exchanged, Error> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES).max_headers(HEADERS);
    let (mut sender, connection) = builder.handshake(stream).await?;
    let connection = Box::pin(connection);
    let answered = async {
        let sending = pin!(sender.send_request(request));
        match select(sending, connection).await {
            Either::Left((response, connection)) => Ok((response?, Some(connection))),
            Either::Right((ended, sending)) => {
                ended?;
                Ok((sending.await?, None))
            }
        }
    };
    let patience = options.first_byte_timeout.unwrap_or(Duration::MAX);
    let answered: Result<_, Error> =
        tokio::time::timeout(patience, answered).await.map_err(|_| Error::ConnectionReadTimeout)?;
    let (response, connection) = answered?;
    let drive = async move {
        let _room = room;
        if let Some(connection) = connection {
            // Who reads the body hears of a broken connection there.
            let _ = connection.await;
        }
        Ok(())
    };
    Ok((response, Box::new(drive)))
}

/// A body that ends in an error when it is larger than allowed, or pauses longer.
struct Bounded<B> {
    body: B,
    left: u64,
    limit: u64,
    error: fn(Option<u64>) -> Error,
    pause: Option<(Duration, Pin<Box<tokio::time::Sleep>>)>,
}

impl<B> Bounded<B> {
    fn new(body: B, limit: u64, error: fn(Option<u64>) -> Error) -> Self {
        Self { body, left: limit, limit, error, pause: None }
    }

    /// With a longest pause between two pieces.
    fn within(self, pause: Option<Duration>) -> Self {
        let pause = pause.map(|pause| (pause, Box::pin(tokio::time::sleep(pause))));
        Self { pause, ..self }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Bounded<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            let has_paused =
                |(_, sleep): &mut (Duration, Pin<Box<tokio::time::Sleep>>)| sleep.as_mut().poll(context).is_ready();
            if this.pause.as_mut().is_some_and(has_paused) {
                return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
            }
            return Poll::Pending;
        };
        if let Some((pause, sleep)) = &mut this.pause
            && let Some(next) = tokio::time::Instant::now().checked_add(*pause)
        {
            sleep.as_mut().reset(next);
        }
        let size = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        match this.left.checked_sub(u64::try_from(size).unwrap_or(u64::MAX)) {
            Some(left) => this.left = left,
            None => return Poll::Ready(Some(Err((this.error)(Some(this.limit))))),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
