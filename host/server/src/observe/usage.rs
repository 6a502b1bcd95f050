//! What handlers used, by tenant, handler and hour, kept in the log.
//!
//! Every few seconds what the [`meter`](super::meter) has counted is added to what is kept, in one document for each
//! tenant and hour, under `usage/<day>/<tenant>/<hour>`. Readers are shown what is kept and nothing else, so that a crash
//! takes nothing back that anybody has seen; it loses what was not kept yet. Where the broker keeps nothing, the newest
//! hours are in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use hostel_api::time::rfc3339;
use hostel_event::port::Clock;
use hostel_event::time::{Moment, Timestamp};
use hostel_log::batch::Batch;
use hostel_log::log::Log;
use hostel_log::record::Kind;
use hostel_log::settings::Sync;

use super::Watchers;
use super::meter::{Hour, Sums, Used};
use crate::telemetry;

/// How often it is kept. A crash loses this much at most.
const INTERVAL: Duration = Duration::from_secs(5);
/// How old what a reader sees may be: asking more often does not make the disk busier.
const FRESH: Duration = Duration::from_secs(1);
/// How long it is kept: a year, and a month to bill the last of it.
const DAYS: u64 = 400;
/// How many days before that are looked through for what is left, after a host was off for long.
const LEFT: u64 = 400;
/// Hours in memory where the broker keeps nothing.
const HOURS_IN_MEMORY: u64 = 24;
/// Sums of a handler in an hour that are in memory at most. Arbitrary: some 60 MB.
const ROWS_IN_MEMORY: usize = 200_000;
/// Bytes of documents in one batch of the log, of the 16 MiB that it takes.
const BATCH: usize = 4 << 20;
/// Rows in an answer at most. Arbitrary: a year of days of some hundred handlers.
pub(crate) const ROWS: usize = 100_000;
/// What the keys of the documents begin with.
const PREFIX: &str = "usage";

/// An hour of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    hour: Hour,
    tenant: String,
}

/// What its handlers used in it. Keys that a later version adds are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    handlers: BTreeMap<String, Sums>,
}

/// By what rows are told apart; what is `false` or `None` is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grouping {
    pub(crate) time: Option<Span>,
    pub(crate) tenant: bool,
    pub(crate) handler: bool,
}

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Hour,
    Day,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// From this hour.
    pub(crate) from: Hour,
    /// Up to and with this one.
    pub(crate) to: Hour,
    pub(crate) tenant: Option<String>,
    pub(crate) handler: Option<String>,
    pub(crate) by: Grouping,
}

/// What a row is about: the hour in which it begins, tenant and handler, as far as rows are told apart by them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) hour: Option<Hour>,
    pub(crate) tenant: Option<String>,
    pub(crate) handler: Option<String>,
}

/// Why usage cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unread {
    /// There are more rows than one answer may have.
    TooMany,
    /// The log cannot be read.
    Failed(String),
}

/// See the module's page.
pub(crate) struct Usage {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    watchers: Arc<Watchers>,
    clock: Arc<dyn Clock>,
    log: Option<Arc<Log>>,
    /// Held while something is added to what is kept, so that nothing is added to what was read before.
    book: tokio::sync::Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// What is kept of the hours that were added to of late; without a log all there is.
    pages: BTreeMap<Place, Page>,
    /// Those that have changed since they were kept.
    changed: BTreeSet<Place>,
    /// What could not be added since the log could not be read.
    waiting: Vec<Used>,
    kept_at: Option<Moment>,
    /// The day on which what is too old was last removed.
    cleaned: Option<u64>,
    is_failing: bool,
}

impl Usage {
    /// Begins to keep what `watchers` count. Must be called within a tokio runtime.
    pub(crate) fn start(watchers: Arc<Watchers>, clock: Arc<dyn Clock>, log: Option<Arc<Log>>) -> Self {
        let shared = Arc::new(Shared { watchers, clock, log, book: tokio::sync::Mutex::default() });
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            async move {
                while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
                    shared.keep().await;
                }
                shared.keep().await;
            }
        });
        Self { shared, stop, task: Mutex::new(Some(task)) }
    }

    /// Keeps what is left and ends. To be called when nothing runs any more, and before the log is closed.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A panic in it was told already.
            let _ = task.await;
        }
    }

    /// What was used, by rows; one second old at most, unless the log takes nothing.
    ///
    /// # Errors
    /// [`Unread`].
    pub(crate) async fn read(&self, query: Query) -> Result<BTreeMap<Key, Sums>, Unread> {
        self.shared.refresh().await;
        let Some(log) = self.shared.log.clone() else {
            let book = self.shared.book.lock().await;
            let pages = book.pages.iter().map(|(place, page)| (place.clone(), page.clone()));
            return summed(&query, pages.map(Ok));
        };
        let read = move || {
            let days = query.from.0 / 24..=query.to.0 / 24;
            let snapshot = log.snapshot();
            let prefixes = days.map(|day| match &query.tenant {
                Some(tenant) => format!("{PREFIX}/{}/{tenant}/", date(day)),
                None => format!("{PREFIX}/{}/", date(day)),
            });
            let documents = prefixes.flat_map(|prefix| match snapshot.documents(Kind::Host, &prefix) {
                Ok(documents) => documents.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(Unread::Failed(crate::network::chain(&error)))],
            });
            let page = |document: hostel_log::record::Document| {
                let page = serde_json::from_slice(&document.bytes).ok();
                place(&document.key).zip(page)
            };
            // What is of another version is passed over here; whoever adds to it says so.
            summed(&query, documents.filter_map(|document| document.map(page).transpose()))
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            Err(error) => Err(Unread::Failed(error.to_string())),
        }
    }
}

/// The rows of a query, of the pages that it is about among others.
fn summed(
    query: &Query,
    pages: impl Iterator<Item = Result<(Place, Page), Unread>>,
) -> Result<BTreeMap<Key, Sums>, Unread> {
    let mut rows: BTreeMap<Key, Sums> = BTreeMap::new();
    for page in pages {
        let (Place { hour, tenant }, page) = page?;
        if hour < query.from || hour > query.to || query.tenant.as_ref().is_some_and(|wanted| *wanted != tenant) {
            continue;
        }
        for (handler, sums) in page.handlers {
            if query.handler.as_ref().is_some_and(|wanted| *wanted != handler) {
                continue;
            }
            let hour = query.by.time.map(|span| match span {
                Span::Hour => hour,
                Span::Day => Hour(hour.0 / 24 * 24),
            });
            let tenant = query.by.tenant.then(|| tenant.clone());
            rows.entry(Key { hour, tenant, handler: query.by.handler.then_some(handler) }).or_default().add(&sums);
            if rows.len() > ROWS {
                return Err(Unread::TooMany);
            }
        }
    }
    Ok(rows)
}

/// The rows behind `after`, at most `limit`, and whether there are more.
pub(crate) fn page(rows: &BTreeMap<Key, Sums>, after: Option<&Key>, limit: usize) -> (Vec<(Key, Sums)>, bool) {
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = rows.range((begin, Bound::Unbounded));
    let page = rest.by_ref().take(limit).map(|(key, sums)| (key.clone(), sums.clone())).collect();
    (page, rest.next().is_some())
}

impl Key {
    /// As the `next` of a page. No name holds a `/`.
    pub(crate) fn cursor(&self) -> String {
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let hour = self.hour.map(|hour| hour.0.to_string());
        format!("{}/{}/{}", dash(&hour), dash(&self.tenant), dash(&self.handler))
    }

    pub(crate) fn parse(cursor: &str) -> Option<Self> {
        let part = |text: &str| (text != "-").then(|| text.to_owned());
        let mut parts = cursor.split('/');
        let (hour, tenant, handler) = (parts.next()?, parts.next()?, parts.next()?);
        let hour = match hour {
            "-" => None,
            hour => Some(Hour(hour.parse().ok()?)),
        };
        parts.next().is_none().then(|| Self { hour, tenant: part(tenant), handler: part(handler) })
    }
}

impl Shared {
    /// Keeps what was counted, unless that was done a moment ago.
    async fn refresh(&self) {
        let is_fresh = |book: &Book| book.kept_at.is_some_and(|at| self.clock.now().since(at) < FRESH);
        let mut book = self.book.lock().await;
        // Whoever waited for the lock waited for one who did it.
        if !is_fresh(&book) {
            self.keep_in(&mut book).await;
        }
    }

    async fn keep(&self) {
        let mut book = self.book.lock().await;
        self.keep_in(&mut book).await;
    }

    /// Adds what was counted to what is kept. What cannot be kept now is tried again with what comes next.
    async fn keep_in(&self, book: &mut Book) {
        book.waiting.extend(self.watchers.meter.take());
        book.kept_at = Some(self.clock.now());
        let beyond = book.waiting.len().saturating_sub(ROWS_IN_MEMORY);
        book.waiting.drain(..beyond);
        let outcome = self.add(book).await;
        match (&outcome, book.is_failing) {
            (Err(error), false) => telemetry::usage_not_kept(error),
            (Ok(()), true) => telemetry::usage_kept_again(),
            _ => {}
        }
        book.is_failing = outcome.is_err();
        self.forget(book).await;
    }

    async fn add(&self, book: &mut Book) -> Result<(), String> {
        if let Some(log) = &self.log {
            let places = book.waiting.iter().map(Used::place).collect::<BTreeSet<_>>();
            let unread: Vec<Place> = places.into_iter().filter(|place| !book.pages.contains_key(place)).collect();
            if !unread.is_empty() {
                let log = Arc::clone(log);
                let read = tokio::task::spawn_blocking(move || read(&log, unread)).await;
                book.pages.extend(read.map_err(|error| error.to_string())??);
            }
        }
        for used in book.waiting.drain(..) {
            let place = used.place();
            let page = book.pages.entry(place.clone()).or_default();
            page.handlers.entry(used.handler).or_default().add(&used.sums);
            book.changed.insert(place);
        }
        match &self.log {
            Some(log) => write(log, book).await,
            None => {
                book.changed.clear();
                Ok(())
            }
        }
    }

    /// Forgets what nobody will add to any more, and what is too old.
    async fn forget(&self, book: &mut Book) {
        let Hour(now) = Hour::of(self.clock.wall());
        let Some(log) = &self.log else {
            let first = Place { hour: Hour((now + 1).saturating_sub(HOURS_IN_MEMORY)), tenant: String::new() };
            book.pages = book.pages.split_off(&first);
            book.bound();
            return;
        };
        let changed = &book.changed;
        book.pages.retain(|place, _| place.hour.0 + 1 >= now || changed.contains(place));
        book.bound();
        let today = now / 24;
        if book.cleaned == Some(today) {
            return;
        }
        book.cleaned = Some(today);
        let log = Arc::clone(log);
        // What fails now is tried again on another day.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || clean(&log, today)).await {
            telemetry::usage_not_kept(&error);
        }
    }
}

impl Book {
    /// Lets the oldest hours go that there is no room for. With a log that is only where it has taken nothing for long.
    fn bound(&mut self) {
        while self.pages.values().map(|page| page.handlers.len()).sum::<usize>() > ROWS_IN_MEMORY {
            let Some((place, _)) = self.pages.pop_first() else { return };
            self.changed.remove(&place);
        }
    }
}

impl Used {
    fn place(&self) -> Place {
        Place { hour: self.hour, tenant: self.tenant.clone() }
    }
}

/// What is kept of these hours; of those of which nothing is, an empty page.
fn read(log: &Log, places: Vec<Place>) -> Result<Vec<(Place, Page)>, String> {
    let snapshot = log.snapshot();
    let mut pages = Vec::with_capacity(places.len());
    for place in places {
        let found = snapshot.document(Kind::Host, &key(&place)).map_err(|error| crate::network::chain(&error))?;
        let page = match found.map(|document| serde_json::from_slice(&document.bytes)) {
            Some(Ok(page)) => page,
            Some(Err(error)) => {
                telemetry::usage_unreadable(&key(&place), &error);
                Page::default()
            }
            None => Page::default(),
        };
        pages.push((place, page));
    }
    Ok(pages)
}

/// Writes the pages that have changed.
async fn write(log: &Log, book: &mut Book) -> Result<(), String> {
    while !book.changed.is_empty() {
        let (mut batch, mut bytes, mut written) = (Batch::new(), 0, Vec::new());
        for place in &book.changed {
            let page = book.pages.get(place).cloned().unwrap_or_default();
            let document = serde_json::to_vec(&page).map_err(|error| error.to_string())?;
            bytes += document.len();
            batch.put_document(Kind::Host, key(place), document);
            written.push(place.clone());
            if bytes > BATCH {
                break;
            }
        }
        log.commit(batch, Sync::Always).await.map_err(|error| error.to_string())?;
        for place in &written {
            book.changed.remove(place);
        }
    }
    Ok(())
}

/// Removes what was kept long enough.
fn clean(log: &Log, today: u64) -> Result<(), String> {
    let snapshot = log.snapshot();
    for day in today.saturating_sub(DAYS + LEFT)..today.saturating_sub(DAYS) {
        let documents = snapshot.documents(Kind::Host, &format!("{PREFIX}/{}/", date(day)));
        for documents in documents.map_err(|error| crate::network::chain(&error))?.chunks(1_000) {
            let mut batch = Batch::new();
            for document in documents {
                batch.remove_document(Kind::Host, document.key.clone());
            }
            // Not waited for: if it is lost, it is done again at the next start.
            drop(log.commit(batch, Sync::Never));
        }
    }
    Ok(())
}

fn key(place: &Place) -> String {
    format!("{PREFIX}/{}/{}/{:02}", date(place.hour.0 / 24), place.tenant, place.hour.0 % 24)
}

/// What a key says. The day is read by its first moment.
fn place(key: &str) -> Option<Place> {
    let mut parts = key.split('/').skip(1);
    let (date, tenant, hour) = (parts.next()?, parts.next()?, parts.next()?);
    let begin = hostel_api::time::point(&format!("{date}T00:00:00Z"))?;
    let Hour(first) = Hour::of(Timestamp::from_millis(begin));
    Some(Place { hour: Hour(first + hour.parse::<u64>().ok()?), tenant: tenant.to_owned() })
}

/// A day, counted from 1970, as `2026-01-31`.
fn date(day: u64) -> String {
    let begin = Hour(day.saturating_mul(24)).begin();
    rfc3339(begin.as_millis()).split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
