//! The task that owns the socket of mDNS: it answers, announces, and hears who announces.
//!
//! Long answers are sent by tasks of its own, slowly enough that the asker can read them: thousand packets at once are
//! more than a go-micro client has room for. They end with it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use simple_dns::SimpleDnsError;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use hostel_event::port::{Change, Clock, Node, RegistryError, Service};

use crate::mdns::counts::Counters;
use crate::mdns::heard::Heard;
use crate::mdns::packet::{self, Message, Told};
use crate::mdns::responder::{Packets, Responder};
use crate::mdns::socket::{Link, everyone};
use crate::mdns::{name, text};
use crate::telemetry;
use crate::watch::Hub;

/// What the task is asked to do.
pub(crate) enum Command {
    Register { service: Service, ttl: Duration, done: oneshot::Sender<Result<(), RegistryError>> },
    Deregister { service: Service, done: oneshot::Sender<Result<(), RegistryError>> },
    Close,
}

/// Packets that one asker gets without a pause, and the pause. A go-micro client has room for about 160 packets; at this
/// pace v2.9.1 and v5.30.0 got 1,000 answers of 1,000 and about 1,750 of 3,000 in their tenth of a second on two cores,
/// and without pauses 282 of 300.
const BURST: usize = 64;
const PAUSE: Duration = Duration::from_millis(2);

/// Long answers at the same time; further ones are sent without pauses. Arbitrary: bounds the packets that wait.
const LONG_ANSWERS: usize = 8;

/// What the task owns and shares.
pub(crate) struct Server {
    pub(crate) socket: Arc<UdpSocket>,
    /// Tasks that send long answers.
    pub(crate) answering: JoinSet<()>,
    pub(crate) responder: Responder,
    pub(crate) heard: Heard,
    /// How many announced nodes are remembered.
    pub(crate) remembered: usize,
    pub(crate) domain: String,
    pub(crate) shared: Arc<Shared>,
}

/// What the server and those who ask have in common.
pub(crate) struct Shared {
    pub(crate) link: Link,
    pub(crate) hub: Hub,
    pub(crate) counters: Counters,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Ends the watches however the task ends.
struct CloseHub(Arc<Shared>);

impl Drop for CloseHub {
    fn drop(&mut self) {
        self.0.hub.close();
    }
}

/// Serves until told to close.
pub(crate) async fn serve(mut server: Server, mut commands: mpsc::Receiver<Command>) {
    let _close = CloseHub(Arc::clone(&server.shared));
    let mut buffer = vec![0; packet::PACKET];
    loop {
        let wait = server.until_next();
        // In this order: a flood of packets keeps nobody from registering and no announcement from its time.
        tokio::select! {
            biased;
            command = commands.recv() => {
                let Some(command) = command.filter(|command| !matches!(command, Command::Close)) else { break };
                server.obey(command).await;
            }
            () = due(wait) => {
                // What could not be sent is counted; there is nobody to tell.
                _ = server.tell_due().await;
            }
            received = server.socket.recv_from(&mut buffer) => match received {
                Ok((bytes, from)) => server.hear(buffer.get(..bytes).unwrap_or_default(), from).await,
                Err(error) => server.shared.counters.unreceived(&error),
            }
        }
    }
    server.answering.shutdown().await;
    let nodes = server.responder.nodes();
    let goodbyes = server.responder.leave();
    _ = server.tell(goodbyes).await;
    telemetry::mdns_stopped(nodes);
}

async fn due(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

impl Server {
    fn until_next(&self) -> Option<Duration> {
        let now = self.shared.clock.now();
        self.responder.next().map(|at| at.since(now))
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Register { service, ttl, done } => {
                let registered = self.register(service, ttl).await;
                // Who asked may have gone.
                _ = done.send(registered);
            }
            Command::Deregister { service, done } => {
                let goodbyes = self.responder.deregister(&service);
                let told = self.tell(goodbyes).await;
                _ = done.send(told.map_err(|error| unreachable(&error)));
            }
            Command::Close => {}
        }
    }

    /// A node that cannot even be probed for is not kept: its owner is told, and registers again.
    async fn register(&mut self, service: Service, ttl: Duration) -> Result<(), RegistryError> {
        self.responder.register(&service, ttl, self.shared.clock.now())?;
        let told = self.tell_due().await;
        if told.is_err() {
            self.responder.deregister(&service);
        }
        told.map_err(|error| unreachable(&error))
    }

    async fn tell_due(&mut self) -> io::Result<()> {
        let packets = self.responder.due(self.shared.clock.now());
        self.tell(packets).await
    }

    async fn tell(&self, packets: Packets) -> io::Result<()> {
        send(&self.socket, &self.shared.counters, packets, everyone()).await
    }

    /// Answers an asker. What could not be sent is counted; the asker asks again.
    async fn answer(&mut self, packets: Packets, to: SocketAddr) {
        while self.answering.try_join_next().is_some() {}
        if packets.len() <= BURST || self.answering.len() >= LONG_ANSWERS {
            _ = send(&self.socket, &self.shared.counters, packets, to).await;
            return;
        }
        let (socket, shared) = (Arc::clone(&self.socket), Arc::clone(&self.shared));
        self.answering.spawn(async move {
            let mut packets = packets.into_iter();
            loop {
                let burst: Packets = packets.by_ref().take(BURST).collect();
                if burst.is_empty() {
                    break;
                }
                _ = send(&socket, &shared.counters, burst, to).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    async fn hear(&mut self, bytes: &[u8], from: SocketAddr) {
        if !self.shared.link.is_near(from) {
            self.shared.counters.foreign(from);
            return;
        }
        match packet::parse(bytes) {
            Ok(Message::Query { id, questions }) => {
                for asked in questions {
                    let packets = self.responder.answer(id, &asked);
                    self.answer(packets, from).await;
                }
            }
            Ok(Message::Response { told }) => told.iter().for_each(|told| self.news(told, from)),
            Err(error) => self.shared.counters.malformed(from, &error.to_string()),
        }
    }

    /// Tells watchers of a node that announced itself.
    fn news(&mut self, told: &Told, from: SocketAddr) {
        // Printers and players announce themselves here too.
        if !told.name.ends_with(&format!(".{}", self.domain)) || told.text.is_empty() {
            return;
        }
        let service = match service_of(told, &self.domain) {
            Ok(Some(service)) => service,
            Ok(None) => return,
            Err(error) => return self.shared.counters.malformed(from, &error.to_string()),
        };
        let (kind, forgot) = self.heard.hear(told, self.shared.clock.now());
        if forgot {
            self.shared.counters.forgotten(self.remembered);
        }
        if let Some(kind) = kind {
            self.shared.hub.tell(Change { kind, service });
        }
    }
}

/// Sends all packets, and gives the last failure if there is one.
async fn send(socket: &UdpSocket, counters: &Counters, packets: Packets, to: SocketAddr) -> io::Result<()> {
    let mut sent = Ok(());
    for packet in packets {
        let result = match packet {
            Ok(packet) => socket.send_to(&packet, to).await.map(|_| ()),
            Err(error) => Err(not_dns(&error)),
        };
        if let Err(error) = result {
            counters.unsent(to, &error);
            sent = Err(error);
        }
    }
    sent
}

/// The service with the one node that a packet tells of. `None` where its name does not fit what it says of itself, or
/// has no version: go-micro ignores those too.
pub(crate) fn service_of(told: &Told, domain: &str) -> Result<Option<Service>, text::TextError> {
    let text::Text { mut service, metadata } = text::decode(&told.text)?;
    let Some(id) = name::id_in(&told.name, &service.name, domain).filter(|_| !service.version.is_empty()) else {
        return Ok(None);
    };
    service.nodes = vec![Node { id: id.to_owned(), address: told.address.to_string(), metadata }];
    Ok(Some(service))
}

pub(crate) fn unreachable(error: &io::Error) -> RegistryError {
    RegistryError::Unreachable(error.to_string())
}

fn not_dns(error: &SimpleDnsError) -> io::Error {
    io::Error::other(error.to_string())
}
