//! The load generator: some keep-alive connections, each of which sends its next request when the last was answered.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::work;

/// What is sent, and what is expected.
pub(crate) struct Load {
    address: SocketAddr,
    /// Sent in turn.
    requests: Vec<(Uri, HeaderMap)>,
    body: Bytes,
    status: StatusCode,
}

/// Where a `POST` goes, and the token that it shows.
pub(crate) struct Wanted<'a> {
    pub(crate) target: String,
    pub(crate) token: Option<&'a str>,
}

/// From one request to that which is sent next, where there are many: far apart, so that what one leaves in a cache does
/// not help the next. A prime, so that all have their turn.
const STRIDE: usize = 7_919;

/// When requests are due.
struct Pace {
    began: Instant,
    /// Seconds from one to the next.
    between: f64,
    /// Taken by all connections in turn.
    sent: Arc<AtomicUsize>,
    requests: usize,
}

impl Pace {
    /// The number of a request and when it is due.
    fn next(&self) -> Option<(usize, Instant)> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
        let after = Duration::from_secs_f64(self.between * number as f64);
        (number < self.requests).then(|| (number, self.began + after))
    }
}

type Sender = SendRequest<Full<Bytes>>;
type Wire = Connection<TokioIo<TcpStream>, Full<Bytes>>;

impl Load {
    /// The event as a `POST` of `target`, to be answered with `status`.
    pub(crate) fn new(address: SocketAddr, target: &str, status: StatusCode) -> Result<Arc<Self>> {
        Self::of(address, &[Wanted { target: target.to_owned(), token: None }], (work::body(), status))
    }

    /// The same, showing a token.
    pub(crate) fn with_token(
        address: SocketAddr,
        (target, status): (&str, StatusCode),
        token: &str,
    ) -> Result<Arc<Self>> {
        Self::of(address, &[Wanted { target: target.to_owned(), token: Some(token) }], (work::body(), status))
    }

    /// A body as a `POST` of each of these, all to be answered with `status`.
    pub(crate) fn of(
        address: SocketAddr,
        wanted: &[Wanted<'_>],
        (body, status): (Bytes, StatusCode),
    ) -> Result<Arc<Self>> {
        let request = |Wanted { target, token }: &Wanted<'_>| {
            let mut headers = headers(address)?;
            if let Some(token) = token {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}"))?);
            }
            anyhow::Ok((target.parse()?, headers))
        };
        Ok(Arc::new(Self { address, requests: wanted.iter().map(request).collect::<Result<_>>()?, body, status }))
    }

    /// Sends one request and returns the size of the answer's body.
    pub(crate) async fn probe(&self) -> Result<usize> {
        let (mut sender, wire) = self.connect().await?;
        tokio::select! {
            answer = self.ask(&mut sender, 0) => answer,
            _ = wire => bail!("`{}` closed the connection", self.address),
        }
    }

    /// Sends `requests` in all over `connections`, which are open before the clock starts. Says when it started; it has
    /// ended when this returns.
    pub(crate) async fn run(self: &Arc<Self>, connections: usize, requests: usize) -> Result<Instant> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(self.connect().await?);
        }
        let sent = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for (sender, wire) in opened {
            tasks.spawn(Arc::clone(self).repeat((sender, wire), Arc::clone(&sent), requests));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(began)
    }

    /// Sends so many requests over `connections`, each at its time by a pace per second; says how long each took from
    /// when it was due.
    pub(crate) async fn paced(
        self: &Arc<Self>,
        connections: usize,
        (pace, requests): (f64, usize),
    ) -> Result<Vec<Duration>> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(self.connect().await?);
        }
        let sent = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for (sender, wire) in opened {
            let pace = Pace { began, between: 1.0 / pace, sent: Arc::clone(&sent), requests };
            tasks.spawn(Arc::clone(self).keep_pace((sender, wire), pace));
        }
        let mut waits = Vec::with_capacity(requests);
        while let Some(ended) = tasks.join_next().await {
            waits.extend(ended??);
        }
        Ok(waits)
    }

    async fn keep_pace(self: Arc<Self>, (mut sender, wire): (Sender, Wire), pace: Pace) -> Result<Vec<Duration>> {
        let asking = async {
            let mut waits = Vec::new();
            while let Some((number, due)) = pace.next() {
                // The timer wakes late, by its own coarseness: who was in time for it counts from its waking.
                let from = match due.checked_duration_since(Instant::now()) {
                    Some(early) if !early.is_zero() => {
                        tokio::time::sleep(early).await;
                        Instant::now()
                    }
                    _ => due,
                };
                self.ask(&mut sender, number).await?;
                waits.push(from.elapsed());
            }
            Ok(waits)
        };
        let (asking, wire) = (pin!(asking), pin!(wire));
        tokio::select! {
            biased;
            done = asking => done,
            _ = wire => bail!("`{}` closed a connection", self.address),
        }
    }

    /// Asks and reads answers in one task, so that no request waits for another task to be woken.
    async fn repeat(
        self: Arc<Self>,
        (mut sender, wire): (Sender, Wire),
        sent: Arc<AtomicUsize>,
        requests: usize,
    ) -> Result<()> {
        let asking = async {
            loop {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok(());
                }
                self.ask(&mut sender, number).await?;
            }
        };
        let (asking, wire) = (pin!(asking), pin!(wire));
        tokio::select! {
            biased;
            done = asking => done,
            _ = wire => bail!("`{}` closed a connection", self.address),
        }
    }

    async fn connect(&self) -> Result<(Sender, Wire)> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.with_context(|| format!("cannot connect to `{}`", self.address))?;
        stream.set_nodelay(true)?;
        Ok(http1::handshake(TokioIo::new(stream)).await?)
    }

    async fn ask(&self, sender: &mut Sender, number: usize) -> Result<usize> {
        let at = number.wrapping_mul(STRIDE).checked_rem(self.requests.len()).unwrap_or_default();
        let (target, headers) = self.requests.get(at).context("there is nothing to send")?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(target);
        request.headers_mut().clone_from(headers);
        sender.ready().await?;
        let answer: Response<Incoming> = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status == self.status, "`{target}` answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(body.len())
    }
}

fn headers(address: SocketAddr) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&address.to_string())?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(work::CONTENT_TYPE));
    Ok(headers)
}
