//! Subscribers on the loopback, a registry that says what it is told to, and a rig of everything around the peers.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use uuid::Uuid;

use hostel_event::id::{EventId, Ids};
use hostel_event::message::{Event, Message};
use hostel_event::outcome::Attempt;
use hostel_event::port::{Change, ChangeKind, Metadata, Node, Registry, RegistryError, Service, Settled, Watch};
use hostel_event::time::Timestamp;

use crate::choice::Choice;
use crate::http::client;
use crate::memory::Memory;

use super::*;

/// Tells the real time.
pub(crate) struct Real(pub(crate) std::time::Instant);

impl Clock for Real {
    fn now(&self) -> Moment {
        Moment::new(self.0.elapsed())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}

/// A message as a subscriber got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) uri: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// A go-micro subscriber, as far as the wire shows one.
pub(crate) struct Subscriber {
    pub(crate) address: String,
    got: Arc<Mutex<Vec<Got>>>,
    connections: Arc<AtomicUsize>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Answers for the next requests; 200 afterwards.
pub(crate) type Script = Arc<Mutex<VecDeque<Response<Full<Bytes>>>>>;

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

impl Subscriber {
    pub(crate) async fn start() -> Self {
        Self::start_with("127.0.0.1:0", Vec::new(), None).await
    }

    pub(crate) async fn scripted(answers: Vec<Response<Full<Bytes>>>) -> Self {
        Self::start_with("127.0.0.1:0", answers, None).await
    }

    pub(crate) async fn start_with(
        address: &str,
        answers: Vec<Response<Full<Bytes>>>,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (got, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let script: Script = Arc::new(Mutex::new(answers.into()));
        let parts = (Arc::clone(&got), Arc::clone(&connections), stop.clone(), tasks.clone());
        tasks.spawn(async move {
            let (got, connections, stop, tasks) = parts;
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                let (stream, _) = accepted.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (got, script, stop) = (Arc::clone(&got), Arc::clone(&script), stop.clone());
                let tls = tls.clone();
                tasks.spawn(async move {
                    let served = async {
                        match tls {
                            None => serve(stream, got, script).await,
                            Some(tls) => {
                                // Otherwise the client did not like the certificate.
                                if let Ok(stream) = tls.accept(stream).await {
                                    serve(stream, got, script).await;
                                }
                            }
                        }
                    };
                    let _ = stop.run_until_cancelled(served).await;
                });
            }
        });
        Self { address, got, connections, stop, tasks }
    }

    /// Goes away with all its connections; its port is free again.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.got.lock().iter().map(|got| got.body.clone()).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.got.lock().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    got: Arc<Mutex<Vec<Got>>>,
    script: Script,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (got, script) = (Arc::clone(&got), Arc::clone(&script));
        async move {
            let uri = request.uri().to_string();
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let headers = json["Header"].as_object().unwrap().iter();
            let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
            let body = STANDARD.decode(json["Body"].as_str().unwrap()).unwrap();
            got.lock().push(Got { uri, headers, body: String::from_utf8(body).unwrap() });
            Ok::<_, Infallible>(script.lock().pop_front().unwrap_or_default())
        }
    });
    // Whoever is at the other end may go as it likes.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A registry that says what it is told to.
#[derive(Default)]
pub(crate) struct Told {
    services: Mutex<HashMap<String, Vec<Service>>>,
    watchers: Mutex<Vec<(String, mpsc::Sender<Change>)>>,
    pub(crate) readings: AtomicUsize,
    pub(crate) away: std::sync::atomic::AtomicBool,
}

struct Changes(mpsc::Receiver<Change>);

impl Watch for Changes {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        Box::pin(self.0.recv())
    }

    fn lost(&self) -> u64 {
        0
    }
}

pub(crate) fn node(topic: &str, version: &str, id: &str, address: &str) -> Service {
    let metadata = [("broker", "http"), ("secure", "false"), ("topic", topic)];
    let metadata: Metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Service {
        name: "micro.http.broker".to_owned(),
        version: version.to_owned(),
        nodes: vec![Node { id: id.to_owned(), address: address.to_owned(), metadata }],
        ..Service::default()
    }
}

impl Told {
    /// Shows a node from now on, and says so.
    pub(crate) fn come(&self, service: Service) {
        self.tell(ChangeKind::Create, &service);
        self.services.lock().entry(service.name.clone()).or_default().push(service);
    }

    /// Shows a node no more, without a word.
    pub(crate) fn vanish(&self, id: &str) -> Option<Service> {
        let mut services = self.services.lock();
        services.values_mut().find_map(|entries| {
            let at = entries.iter().position(|entry| entry.nodes[0].id == id)?;
            Some(entries.remove(at))
        })
    }

    /// Shows a node no more, and says so.
    pub(crate) fn leave(&self, id: &str) {
        if let Some(gone) = self.vanish(id) {
            self.tell(ChangeKind::Delete, &gone);
        }
    }

    fn tell(&self, kind: ChangeKind, service: &Service) {
        for (name, watcher) in self.watchers.lock().iter() {
            if *name == service.name {
                let _ = watcher.try_send(Change { kind, service: service.clone() });
            }
        }
    }
}

impl Registry for Told {
    fn register(&self, _: Service, _: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        unreachable!("peers register nothing")
    }

    fn deregister(&self, _: Service) -> BoxFuture<'_, Result<(), RegistryError>> {
        unreachable!("peers register nothing")
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        self.readings.fetch_add(1, Ordering::SeqCst);
        let result = match self.services.lock().get(name) {
            _ if self.away.load(Ordering::SeqCst) => Err(RegistryError::Unreachable("told so".to_owned())),
            Some(services) => Ok(services.clone()),
            None => Err(RegistryError::NotFound(name.to_owned())),
        };
        Box::pin(async { result })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        unreachable!("peers list nothing")
    }

    fn watch(&self, name: Option<&str>) -> BoxFuture<'_, Result<Box<dyn Watch>, RegistryError>> {
        let (sender, receiver) = mpsc::channel(1000);
        self.watchers.lock().push((name.unwrap().to_owned(), sender));
        Box::pin(async { Ok(Box::new(Changes(receiver)) as Box<dyn Watch>) })
    }
}

/// Remembers what it hears.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) attempts: Mutex<Vec<Attempt>>,
    pub(crate) settled: Mutex<Vec<(String, Settled)>>,
}

impl Observe for Witness {
    fn published(&self, _: &Arc<Event>) {}

    fn refused(&self, _: &Tenant) {}

    fn attempted(&self, _: &Arc<Event>, _: &SubscriptionId, attempt: &Attempt) {
        self.attempts.lock().push(attempt.clone());
    }

    fn settled(&self, event: &Arc<Event>, _: &SubscriptionId, settled: &Settled) {
        self.settled.lock().push((event.id.to_string(), settled.clone()));
    }
}

pub(crate) struct Rig {
    pub(crate) broker: Memory,
    pub(crate) registry: Arc<Told>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) peers: Peers,
}

/// The real rules with pauses short enough to wait for.
pub(crate) fn quick() -> Settings {
    let brief = Duration::from_millis(5);
    let retry = hostel_event::subscription::RetryPolicy { attempts: 3, backoff: brief, backoff_limit: brief };
    let circuit = circuit::Settings { failures: 3, pause: brief, pause_limit: brief * 4 };
    let carried = courier::Settings {
        settling: Duration::ZERO,
        retry,
        circuit,
        pause: brief,
        pause_limit: brief,
        ..courier::Settings::default()
    };
    let refresh = Duration::from_millis(200);
    Settings { refresh, courier: carried, ..Settings::new(Tenant::new("acme").unwrap()) }
}

pub(crate) const HOST: Uuid = Uuid::from_u128(7);

impl Rig {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with(settings, client::Settings::default())
    }

    pub(crate) fn with(settings: Settings, client: client::Settings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Real(std::time::Instant::now()));
        let limits = crate::memory::Settings {
            bytes: 1 << 28,
            dead_letters: 100_000,
            dead_letter_bytes: 1 << 28,
            key_value_bytes: 1 << 20,
            choice: Choice::Random,
            seed: 1,
        };
        let broker = Memory::new(limits, Arc::clone(&clock), Ids::new(Arc::clone(&clock), entropy));
        let (registry, witness) = (Arc::new(Told::default()), Arc::new(Witness::default()));
        let parts = Parts {
            broker: Arc::new(broker.clone()),
            registry: Arc::<Told>::clone(&registry),
            clock,
            observe: Arc::<Witness>::clone(&witness),
            client: Client::new(client).unwrap(),
            identity: Identity::new(HOST),
        };
        Self { broker, registry, witness, peers: Peers::start(parts, settings) }
    }

    /// Publishes, and says how many subscriptions will get it.
    pub(crate) async fn publish(&self, topic: &str, body: &str) -> usize {
        self.publish_with(topic, body, &[]).await
    }

    pub(crate) async fn publish_with(&self, topic: &str, body: &str, headers: &[(&str, &str)]) -> usize {
        let mut message = Message { body: Bytes::copy_from_slice(body.as_bytes()), ..Message::default() };
        headers.iter().for_each(|(name, value)| message.headers.append(name, value).unwrap());
        let event = Event {
            id: EventId::new(body).unwrap(),
            tenant: Tenant::new("acme").unwrap(),
            topic: Topic::new(topic).unwrap(),
            published_at: Timestamp::from_millis(1),
            expires_at: None,
            message,
        };
        self.broker.publish(Arc::new(event).into()).await.unwrap().subscriptions.len()
    }

    /// Has a node come, and waits until events go to it.
    pub(crate) async fn come(&self, version: &str, id: &str, address: &str) {
        self.registry.come(node("jobs", version, id, address));
        self.until_known(id).await;
    }

    pub(crate) async fn until_known(&self, id: &str) {
        until("the node is known", || self.view(id).is_some()).await;
    }

    pub(crate) fn view(&self, id: &str) -> Option<PeerView> {
        self.peers.state().peers.into_iter().find(|peer| peer.node == id)
    }

    pub(crate) fn settled(&self) -> usize {
        self.witness.settled.lock().len()
    }

    pub(crate) fn dead_letters(&self) -> Vec<String> {
        let letters = self.broker.dead_letters().list(&Tenant::new("acme").unwrap(), None, 100_000);
        letters.iter().rev().map(|letter| letter.reason.clone()).collect()
    }

    pub(crate) async fn close(&self) -> usize {
        self.peers.close(Duration::from_secs(10)).await
    }
}

fn entropy() -> [u8; 10] {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    entropy
}

/// Numbers as texts.
pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:04}")).collect()
}
