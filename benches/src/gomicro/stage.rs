//! Whom the messages go between: two go-micro programs and a host, who know one another, and this program.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use hostel_api::client::{Client, Publication};

use crate::host::{Home, Host};
use crate::round;
use crate::scale::Scale;

use super::driver::{self, Driver, until};

/// Finds go-micro's programs and is found by them.
const CONFIG: &str = "[registry]\nuse = \"mdns\"\n[log]\nhandlers = true\n";
/// The same, and promises no more than go-micro does: nothing is kept.
const IN_MEMORY: &str = "[registry]\nuse = \"mdns\"\n[log]\nhandlers = true\n[broker]\nuse = \"memory\"\n";
/// Each has one subscriber.
const TO_ITSELF: &str = "orders.alone";
const INTO_HOST: &str = "orders.in";
const INTO_MEMORY: &str = "orders.in-memory";
const OUT_OF_HOST: &str = "orders.out";
/// 1 KiB, and the same in base64, as drivers take it.
const BODY: [u8; 1024] = [b'x'; 1024];
/// go-micro's publisher sleeps 100 ms between two messages of a goroutine's eight, so the last of a burst comes within
/// a second; this is twice that.
const QUIET: Duration = Duration::from_secs(2);
/// Publishers of a burst at the host: each waits for its answers.
const PUBLISHERS: usize = 8;

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Itself,
    In,
    /// To a host whose broker is in memory.
    InMemory,
    Out,
}

impl Direction {
    pub(super) const ALL: [Self; 4] = [Self::Itself, Self::In, Self::InMemory, Self::Out];
}

pub(super) struct Stage {
    tokio: tokio::runtime::Runtime,
    host: Host,
    in_memory: Host,
    subscriber: Driver,
    publisher: Driver,
    /// Where go-micro's subscriber acknowledges what the host brought.
    acknowledgements: UdpSocket,
}

impl Stage {
    /// Starts everything and waits until all know of one another.
    pub(super) fn set(version: &str, hostel: &Path, component: &Path) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut subscriber = Driver::start(version)?;
        subscriber.subscribe(TO_ITSELF)?;
        subscriber.subscribe(OUT_OF_HOST)?;
        let host = start(hostel, CONFIG)?;
        tokio.block_on(host.deploy(component, INTO_HOST, None))?;
        let in_memory = start(hostel, IN_MEMORY)?;
        tokio.block_on(in_memory.deploy(component, INTO_MEMORY, None))?;
        for topic in [TO_ITSELF, INTO_HOST, INTO_MEMORY] {
            subscriber.until_heard(topic)?;
        }
        until("the host knows who hears go-micro's topic", || Ok(tokio.block_on(knows(host.client(), OUT_OF_HOST))))?;
        let publisher = Driver::start(version)?;
        let acknowledgements = UdpSocket::bind(("127.0.0.1", 0))?;
        acknowledgements.set_read_timeout(Some(Scale::PATIENCE))?;
        Ok(Self { tokio, host, in_memory, subscriber, publisher, acknowledgements })
    }

    /// One message after the other. Messages in a second, and in how many microseconds half of them were acknowledged,
    /// and 99 of 100.
    pub(super) fn single(&mut self, direction: Direction, count: usize) -> Result<[f64; 3]> {
        let (took, half, most) = match direction {
            Direction::Itself => self.publish_single(TO_ITSELF, count)?,
            Direction::In => self.publish_single(INTO_HOST, count)?,
            Direction::InMemory => self.publish_single(INTO_MEMORY, count)?,
            Direction::Out => self.post_single(count)?,
        };
        let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
        Ok([round::rate(count, took)?, microseconds(half), microseconds(most)])
    }

    /// As many as fast as they go. How many were handled.
    pub(super) fn burst(&mut self, direction: Direction, count: usize) -> Result<f64> {
        let before = self.handled(direction)?;
        match direction {
            Direction::Itself => drop(self.publisher.publish(TO_ITSELF, &base64(), count, 0)?),
            Direction::In => drop(self.publisher.publish(INTO_HOST, &base64(), count, 0)?),
            Direction::InMemory => drop(self.publisher.publish(INTO_MEMORY, &base64(), count, 0)?),
            Direction::Out => self.tokio.block_on(post_all(self.host.client(), count))?,
        }
        let (mut last, mut since) = (self.handled(direction)?, Instant::now());
        until("a burst comes to rest", || {
            let now = self.handled(direction)?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
            Ok(since.elapsed() >= QUIET)
        })?;
        let handled = u32::try_from(last - before).context("more was handled than can be counted")?;
        Ok(f64::from(handled))
    }

    /// How many messages the side has handled so far that is to hear those of a direction.
    fn handled(&mut self, direction: Direction) -> Result<u64> {
        match direction {
            Direction::Itself | Direction::Out => self.subscriber.received(),
            Direction::In => Ok(u64::try_from(self.tokio.block_on(self.host.acked())?)?),
            Direction::InMemory => Ok(u64::try_from(self.tokio.block_on(self.in_memory.acked())?)?),
        }
    }

    fn publish_single(&mut self, topic: &str, count: usize) -> Result<(Duration, Duration, Duration)> {
        let published = self.publisher.publish(topic, &base64(), count, 1)?;
        let time = Duration::from_nanos;
        Ok((time(published.took_ns), time(published.p50_ns), time(published.p99_ns)))
    }

    /// Publishes at the host as go-micro's driver does at its own broker.
    fn post_single(&self, count: usize) -> Result<(Duration, Duration, Duration)> {
        let address = self.acknowledgements.local_addr()?.to_string();
        let (mut times, mut buffer) = (Vec::with_capacity(count), [0; 32]);
        let all = Instant::now();
        for number in 0..count {
            let headers = [("number", number.to_string()), ("acknowledge-to", address.clone())];
            let publication = publication(headers.map(|(name, value)| (name.to_owned(), value)).into());
            let began = Instant::now();
            self.tokio.block_on(self.host.client().publish(&publication))?;
            let length = self.acknowledgements.recv(&mut buffer).context("no acknowledgement came in time")?;
            let said = buffer.get(..length).unwrap_or_default();
            ensure!(said == number.to_string().as_bytes(), "{:?} was acknowledged and {number} published", said);
            times.push(began.elapsed());
        }
        let took = all.elapsed();
        times.sort();
        let within = |percent: usize| times.get(times.len().saturating_sub(1) * percent / 100).copied();
        Ok((took, within(50).unwrap_or_default(), within(99).unwrap_or_default()))
    }
}

/// Starts a host. What its handler logs, the number of a message and whom to tell, is acknowledged.
fn start(hostel: &Path, config: &str) -> Result<Host> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    Home::new(hostel, config)?.start_heard(move |line| {
        // Of a burst nothing is acknowledged; otherwise who waits in vain says so.
        if let Some((number, address)) = line.split_once(' ') {
            let _ = driver::acknowledge(&socket, number, address);
        }
    })
}

/// Whether the host knows a go-micro program that hears a topic.
async fn knows(client: &Client, topic: &str) -> bool {
    let versions = client.service("micro.http.broker").await.map(|versions| versions.items).unwrap_or_default();
    let mut nodes = versions.iter().flat_map(|service| &service.nodes);
    nodes.any(|node| node.metadata.get("topic").is_some_and(|text| text == topic))
}

/// Publishes a burst at the host.
async fn post_all(client: &Client, count: usize) -> Result<()> {
    let taken = Arc::new(AtomicUsize::new(0));
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (client, taken) = (client.clone(), Arc::clone(&taken));
        publishers.spawn(async move {
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, anyhow::Error>(());
                }
                client.publish(&publication(vec![("number".to_owned(), number.to_string())])).await?;
            }
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    Ok(())
}

fn publication(headers: Vec<(String, String)>) -> Publication {
    Publication { topic: OUT_OF_HOST.to_owned(), id: None, headers, body: BODY.to_vec().into() }
}

/// [`BODY`] in base64.
fn base64() -> String {
    // Three bytes make four characters: 341 times "xxx", and one "x".
    "eHh4".repeat(BODY.len() / 3) + "eA=="
}
