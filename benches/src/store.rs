//! Row group 4: what the log makes of concurrent publishers, against a plain file that is synced for the same groups.
//!
//! The limit is the least that any durable store must do: append what all publishers brought meanwhile, sync once, tell
//! them. Both sides use threads that publish 1 KiB and wait for the answer, in turns, so that a noisy neighbour meets
//! both. The peer is in [`jetstream`].

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Barrier};
use std::task::{Context as Waking, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use hostel_log::batch::{Batch, Once, Publish};
use hostel_log::log::Log;
use hostel_log::record::{Millis, SeenKey};
use hostel_log::settings::{Settings, Sync};

use crate::host::beside;
use crate::jetstream::Server;
use crate::plot::{Hue, Plot, Stroke};
use crate::report::Row;
use crate::round::{self, Contender, Group, Measured};
use crate::scale::Scale;

/// Bytes of an event.
pub(crate) const BODY: usize = 1024;
/// How many publish at once.
const PUBLISHERS: [usize; 5] = [1, 4, 16, 64, 256];
/// Events of one publisher in a round, at most. Few publishers are bound by the disk alone, and fewer events tell as
/// much.
const EACH: usize = 500;

fn name(what: &str, publishers: usize) -> String {
    match publishers {
        1 => format!("{what}, 1 publisher"),
        _ => format!("{what}, {publishers} publishers"),
    }
}

fn log(publishers: usize) -> String {
    name("durable log: commit 1 KiB, synced", publishers)
}

fn file(publishers: usize) -> String {
    name("plain file, one sync for each group", publishers)
}

fn unsynced(publishers: usize) -> String {
    name("durable log, not waiting for syncs", publishers)
}

fn nats(publishers: usize) -> String {
    name("NATS JetStream, file store, `sync_interval: always`", publishers)
}

/// The name of what is measured with so many publishers.
type Named = fn(usize) -> String;

/// What was measured of the group, drawn: what publishers make together of log, file and peer. None without the log.
pub(crate) fn plot(measured: &[Measured]) -> Option<Plot> {
    let curves: [(&str, Named, Hue); 3] =
        [("plain file", file, Hue::Limit), ("Hostel's log", log, Hue::Subject), ("NATS JetStream", nats, Hue::Peer)];
    let mut plot =
        Plot::new("Durable publishes: 1 KiB each, synced before they are answered", "publishers at once", "events/s");
    for (at, publishers) in (0_u8..).zip(PUBLISHERS) {
        plot.mark(f64::from(at), &publishers.to_string());
    }
    for (told, named, hue) in curves {
        plot.curve(told, (hue, Stroke::Solid), (0_u8..).map(f64::from).zip(PUBLISHERS.map(named)), measured);
    }
    plot.has(Hue::Subject).then_some(plot)
}

/// Measures the group; says why where the peer is left out.
pub(crate) fn measure(scale: &Scale, skipped: &mut Vec<String>) -> Result<Group> {
    if !PUBLISHERS.iter().any(|publishers| scale.wants(&log(*publishers))) {
        return Ok(Group::default());
    }
    let folder = beside()?;
    let server = match Server::start(folder.path()) {
        Ok(server) => Some(server),
        Err(error) => {
            skipped.push(format!("NATS JetStream: {error:#}"));
            None
        }
    };
    let (mut contenders, mut rows) = (Vec::new(), Vec::new());
    for publishers in PUBLISHERS {
        let events = scale.durable.min(publishers * EACH);
        let place = folder.path();
        contenders
            .push(Contender::new(&file(publishers), events, move |n| within(place, |at| plain(at, publishers, n))));
        let commit = |sync| move |n| within(place, |at| durable(at, publishers, n, sync));
        contenders.push(Contender::new(&log(publishers), events, commit(Sync::Always)));
        contenders.push(Contender::new(&unsynced(publishers), events, commit(Sync::Never)));
        rows.push(Row { subject: log(publishers), limit: file(publishers) });
        rows.push(Row { subject: log(publishers), limit: unsynced(publishers) });
        if let Some(server) = &server {
            contenders.push(Contender::new(&nats(publishers), events, move |n| server.race(publishers, n)));
            rows.push(Row { subject: log(publishers), limit: nats(publishers) });
        }
    }
    Ok(round::measure(scale, contenders, rows))
}

/// Measures in a folder that is gone afterwards.
fn within(folder: &Path, measure: impl FnOnce(&Path) -> Result<Duration>) -> Result<Duration> {
    let place = tempfile::tempdir_in(folder).context("cannot make a folder to measure in")?;
    measure(place.path())
}

/// How long it takes publishers that each do `publish` until all events are published.
fn race(publishers: usize, events: usize, publish: impl Fn(u64) -> Result<()> + std::marker::Sync) -> Result<Duration> {
    let events = events as u64;
    let (taken, barrier) = (AtomicU64::new(0), Barrier::new(publishers + 1));
    thread::scope(|scope| {
        let work = || -> Result<()> {
            barrier.wait();
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return Ok(());
                }
                publish(number)?;
            }
        };
        let threads = (0..publishers).map(|_| scope.spawn(work)).collect::<Vec<_>>();
        barrier.wait();
        let began = Instant::now();
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a publisher panicked"))??;
        }
        Ok(began.elapsed())
    })
}

fn durable(folder: &Path, publishers: usize, events: usize, sync: Sync) -> Result<Duration> {
    let log = Log::open(folder, Settings::default())?;
    let publish = |number: u64| -> Result<()> {
        let key = SeenKey { tenant: "acme".into(), scope: "orders.created".into(), id: format!("{number:032x}") };
        let mut batch = Batch::new();
        batch.publish(Publish {
            tenant: "acme".into(),
            topic: "orders.created".into(),
            at: Millis(number),
            bytes: vec![7; BODY],
            once: Some(Once { key, since: Millis(0) }),
        });
        wait(log.commit(batch, sync))?;
        Ok(())
    };
    race(publishers, events, publish)
}

/// One thread writes and syncs what waits; publishers wait for the answer, as with the log.
fn plain(folder: &Path, publishers: usize, events: usize) -> Result<Duration> {
    let file = OpenOptions::new().append(true).create_new(true).open(folder.join("plain"))?;
    let (to_writer, waiting) = sync_channel::<(Vec<u8>, SyncSender<()>)>(publishers);
    let writer = thread::spawn(move || -> Result<()> {
        let mut file: File = file;
        while let Ok(first) = waiting.recv() {
            let group = std::iter::once(first).chain(waiting.try_iter()).collect::<Vec<_>>();
            file.write_all(&group.iter().flat_map(|(body, _)| body).copied().collect::<Vec<_>>())?;
            file.sync_data()?;
            for (_, reply) in group {
                reply.send(())?;
            }
        }
        Ok(())
    });
    let took = race(publishers, events, |_| {
        let (reply, done) = sync_channel(1);
        to_writer.send((vec![7; BODY], reply))?;
        Ok(done.recv()?)
    });
    drop(to_writer);
    writer.join().map_err(|_| anyhow!("the writer panicked"))??;
    took
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread, as the plain file's publishers wait on theirs.
fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Waking::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
