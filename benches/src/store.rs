//! What the log makes of concurrent publishers, against a plain file that is synced for the same groups.
//!
//! The limit is the least that any durable store must do: append what all publishers brought meanwhile, sync once, tell
//! them. Both sides use threads that publish 1 KiB and wait for the answer, in turns, so that a noisy neighbour meets
//! both.

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
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

use hostel_log::batch::{Batch, Once, Publish};
use hostel_log::log::Log;
use hostel_log::record::{Millis, SeenKey};
use hostel_log::settings::{Settings, Sync};

/// Bytes of an event.
const BODY: usize = 1024;

/// One line of the table: events a second, medians of all rounds.
pub(crate) struct Row {
    /// How many publish at once.
    pub(crate) publishers: usize,
    /// What a plain file does.
    pub(crate) file: f64,
    /// What the log does.
    pub(crate) log: f64,
    /// The log without waiting for syncs.
    pub(crate) unsynced: f64,
}

/// Measures in this folder.
pub(crate) fn run(folder: &Path, publishers: &[usize], rounds: usize, events: u64) -> Result<Vec<Row>> {
    publishers.iter().map(|publishers| row(folder, *publishers, rounds, events)).collect()
}

fn row(folder: &Path, publishers: usize, rounds: usize, events: u64) -> Result<Row> {
    let (mut file, mut log, mut unsynced) = (Vec::new(), Vec::new(), Vec::new());
    // A single publisher is bound by the disk alone; fewer events tell as much.
    let events = events.min(publishers as u64 * 2000);
    for round in 0..rounds {
        let place = folder.join(format!("{publishers}-{round}"));
        std::fs::create_dir_all(&place).with_context(|| format!("cannot make `{}`", place.display()))?;
        file.push(plain(&place.join("plain"), publishers, events)?);
        log.push(durable(&place.join("log"), publishers, events, Sync::Always)?);
        unsynced.push(durable(&place.join("unsynced"), publishers, events, Sync::Never)?);
        std::fs::remove_dir_all(&place)?;
    }
    Ok(Row { publishers, file: median(file), log: median(log), unsynced: median(unsynced) })
}

/// Events a second of publishers that each do `publish` until all events are published.
fn race(publishers: usize, events: u64, publish: impl Fn(u64) -> Result<()> + std::marker::Sync) -> Result<f64> {
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
        Ok(events as f64 / began.elapsed().as_secs_f64())
    })
}

fn durable(folder: &Path, publishers: usize, events: u64, sync: Sync) -> Result<f64> {
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
fn plain(path: &Path, publishers: usize, events: u64) -> Result<f64> {
    let file = OpenOptions::new().append(true).create_new(true).open(path)?;
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
    let rate = race(publishers, events, |_| {
        let (reply, done) = sync_channel(1);
        to_writer.send((vec![7; BODY], reply))?;
        Ok(done.recv()?)
    });
    drop(to_writer);
    writer.join().map_err(|_| anyhow!("the writer panicked"))??;
    rate
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
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
