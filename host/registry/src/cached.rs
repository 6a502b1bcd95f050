//! A registry whose answers are kept, as go-micro's registry cache does.
//!
//! An answer is good for a TTL. One watch on the whole registry keeps what was asked for up to date in between, so that
//! a node that leaves is not called for the rest of the minute. While the registry is away the last answer goes on
//! serving, however old, and [`Cached::away`] and [`Answer::stale`] say so. That a service was not found is kept for a
//! shorter time, unless the watch hears of it.
//!
//! `register`, `deregister`, `list` and `watch` go through to the registry.

mod entry;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch as signal;
use tokio::task::JoinHandle;

use hostel_event::port::{Change, Clock, Registry, RegistryError, Service, Watch};
use hostel_event::time::Moment;

use crate::telemetry;

use entry::Entry;

/// How long answers are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long an answer is good.
    pub ttl: Duration,
    /// How long it is taken as given that a service was not found, and how long after a failure the registry is not
    /// asked again for a service.
    pub negative_ttl: Duration,
    /// Services of which the answer is kept; the one that expires first makes way.
    pub services: usize,
}

impl Settings {
    /// As go-micro has it: a minute, and five seconds for what was not found. Its cache has no bound; 1,024 services is
    /// arbitrary and more than a host asks for.
    pub const GO_MICRO: Self =
        Self { ttl: Duration::from_secs(60), negative_ttl: Duration::from_secs(5), services: 1024 };
}

/// An answer and how much it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Every version of the service, with its nodes.
    pub services: Vec<Service>,
    /// Whether the registry could not be asked and this is what it said when it last could.
    pub stale: bool,
    /// When the registry said so.
    pub asked: Moment,
}

/// The registry is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Since when.
    pub since: Moment,
    /// Why, as the first who noticed was told.
    pub reason: String,
}

/// A registry whose answers are kept. It owns the task that watches: [`Cached::close`] ends it and waits for it,
/// dropping ends it without waiting.
pub struct Cached {
    shared: Arc<Shared>,
    stop: signal::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    inner: Arc<dyn Registry>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    away: Mutex<Option<Away>>,
}

/// How long to wait before watching again after the watch has ended: doubles from the first to the second. Arbitrary:
/// soon enough that a restart of the registry is hardly noticed, and no storm while it stays away.
const WATCH_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How often to look whether the watch has lost changes while none comes: one over a network may break and be begun
/// again. Arbitrary; nodes that went meanwhile are believed in for this long.
const LOOK_FOR_LOSSES: Duration = Duration::from_secs(1);

impl Cached {
    /// Keeps the answers of `inner`. Starts the task that watches it, so this needs a tokio runtime.
    #[must_use]
    pub fn start(inner: Arc<dyn Registry>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let (entries, away) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { inner, clock, settings, entries, away });
        let (stop, stopped) = signal::channel(false);
        let task = tokio::spawn(follow(Arc::clone(&shared), stopped));
        Self { shared, stop, task: Mutex::new(Some(task)) }
    }

    /// The service, and whether the answer is stale. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when nobody offers it, and [`RegistryError::Unreachable`] when the registry is away
    /// and was never asked for this service while it was there.
    pub async fn look_up(&self, name: &str) -> Result<Answer, RegistryError> {
        self.shared.look_up(name).await
    }

    /// Whether the registry is away, which makes answers stale.
    #[must_use]
    pub fn away(&self) -> Option<Away> {
        self.shared.away.lock().clone()
    }

    /// Stops watching and waits until that is done. Answers are good for the rest of their TTL.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task {
            // Its only failure is a panic, which the runtime has reported.
            _ = task.await;
        }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Shared {
    async fn look_up(&self, name: &str) -> Result<Answer, RegistryError> {
        if let Some(known) = self.known(name) {
            return known;
        }
        let entry = self.entry(name);
        // One asks for all who want the same.
        let _asking = entry.asking.lock().await;
        if let Some(known) = self.known(name) {
            return known;
        }
        entry.begin();
        let answer = self.inner.get(name).await;
        match &answer {
            Ok(_) | Err(RegistryError::NotFound(_)) => self.regained_sight(),
            Err(error) => self.lost_sight(error),
        }
        entry.keep(name, answer, self.clock.now(), self.settings)
    }

    /// What is kept and still good.
    fn known(&self, name: &str) -> Option<Result<Answer, RegistryError>> {
        let now = self.clock.now();
        self.entries.lock().get(name)?.known(name, now)
    }

    fn entry(&self, name: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(name) {
            return Arc::clone(entry);
        }
        while entries.len() >= self.settings.services.max(1) {
            let next = entries.iter().min_by_key(|(_, entry)| entry.until()).map(|(name, _)| name.clone());
            let Some(next) = next else { break };
            entries.remove(&next);
        }
        let entry = Arc::new(Entry::default());
        entries.insert(name.to_owned(), Arc::clone(&entry));
        entry
    }

    fn apply(&self, change: Change) {
        let entry = self.entries.lock().get(&change.service.name).map(Arc::clone);
        if let Some(entry) = entry {
            entry.apply(change);
        }
    }

    /// The next look asks the registry, and what is known stays in case it is away.
    fn expire(&self, name: &str) {
        if let Some(entry) = self.entries.lock().get(name) {
            entry.expire();
        }
    }

    fn expire_all(&self) {
        self.entries.lock().values().for_each(|entry| entry.expire());
    }

    fn lost_sight(&self, error: &RegistryError) {
        let mut away = self.away.lock();
        if away.is_none() {
            telemetry::registry_away(error);
            *away = Some(Away { since: self.clock.now(), reason: error.to_string() });
        }
    }

    fn regained_sight(&self) {
        if let Some(away) = self.away.lock().take() {
            telemetry::registry_back(self.clock.now().since(away.since));
        }
    }
}

/// Watches the registry until told to stop, and again whenever the watch ends.
async fn follow(shared: Arc<Shared>, mut stopped: signal::Receiver<bool>) {
    let watching = async {
        let mut wait = WATCH_AGAIN.0;
        loop {
            match shared.inner.watch(None).await {
                Ok(watch) => {
                    shared.regained_sight();
                    // Between two watches, changes went unheard.
                    shared.expire_all();
                    wait = WATCH_AGAIN.0;
                    hear(&shared, watch).await;
                    telemetry::watch_ended();
                    shared.expire_all();
                }
                Err(error) => shared.lost_sight(&error),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WATCH_AGAIN.1);
        }
    };
    // An error means that the sender is gone, which is a reason to stop as well.
    tokio::select! {
        () = watching => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

/// Keeps entries as the watch says until it ends.
async fn hear(shared: &Shared, mut watch: Box<dyn Watch>) {
    let mut lost = watch.lost();
    loop {
        match tokio::time::timeout(LOOK_FOR_LOSSES, watch.next()).await {
            Ok(Some(change)) => shared.apply(change),
            Ok(None) => return,
            Err(_) => {}
        }
        if watch.lost() != lost {
            lost = watch.lost();
            shared.expire_all();
        }
    }
}

impl Registry for Cached {
    fn register(&self, service: Service, ttl: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            let name = service.name.clone();
            let registered = self.shared.inner.register(service, ttl).await;
            // Who registers sees it at once, before the watch tells.
            self.shared.expire(&name);
            registered
        })
    }

    fn deregister(&self, service: Service) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            let name = service.name.clone();
            let deregistered = self.shared.inner.deregister(service).await;
            self.shared.expire(&name);
            deregistered
        })
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        let name = name.to_owned();
        Box::pin(async move { self.shared.look_up(&name).await.map(|answer| answer.services) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        self.shared.inner.list()
    }

    fn watch(&self, name: Option<&str>) -> BoxFuture<'_, Result<Box<dyn Watch>, RegistryError>> {
        self.shared.inner.watch(name)
    }
}

#[cfg(test)]
mod tests;
