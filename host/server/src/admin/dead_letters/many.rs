//! Many dead letters with one request: redriven or dropped, the oldest first, a batch at a time.
//!
//! A request does a bounded amount of work and gives a cursor to go on with. The first one notes the newest dead letter
//! of that moment, and the cursor keeps it: what dies again while it is redriven is not redriven without end.

use std::sync::Arc;

use axum::extract::State;
use futures_util::future::{BoxFuture, join_all};
use http::{StatusCode, Uri};
use serde::Deserialize;

use hostel_api::problem::Code;
use hostel_api::view::{BatchView, NotDoneView};
use hostel_event::dead_letter::DeadLetter;
use hostel_event::id::DeadLetterId;
use hostel_event::name::Tenant;
use hostel_event::port::{DeadLetterError, DeadLetters, PublishError};
use hostel_event::time::Timestamp;

use super::super::tenant::InTenant;
use super::super::{Admin, Answer, Shared};
use super::{Parameters, Wanted};
use crate::answer::{Failure, json};
use crate::{query, view};

/// Dead letters in a batch at most. Arbitrary: some tenths of a second on a slow disk.
const BATCH: usize = 256;
/// Dead letters looked at for a batch at most, of which a filter may want few.
const LOOKED_AT: usize = 8192;
/// Dead letters read at a time.
const PAGE: usize = 256;
/// How many go on at the same time. They share the syncs of the log.
const AT_ONCE: usize = 64;

/// Where a dead letter stands among all: when it died, and its id.
type Place = (Timestamp, DeadLetterId);
type Done = Result<Arc<DeadLetter>, DeadLetterError>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManyParameters {
    #[serde(default)]
    all: bool,
    cursor: Option<String>,
    handler: Option<String>,
    subscription: Option<String>,
    topic: Option<String>,
    reason: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

impl ManyParameters {
    fn limits(&self) -> bool {
        let Self { handler, subscription, topic, reason, since, until, .. } = self;
        [handler, subscription, topic, reason, since, until].into_iter().any(Option::is_some)
    }
}

/// Where a request goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    /// The newest that is meant.
    through: Place,
    /// The last one that was looked at.
    after: Option<Place>,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let place = |at: &str, id: &str| Some((Timestamp::from_millis(at.parse().ok()?), DeadLetterId::parse(id)));
        let parts: Vec<&str> = text.split('.').collect();
        let [through_at, through, after_at, after] = parts[..] else { return None };
        Some(Self { through: place(through_at, through)?, after: Some(place(after_at, after)?) })
    }

    fn write(&self) -> String {
        let (through_at, through) = &self.through;
        // Before the first one there is.
        let (after_at, after) = self.after.as_ref().map_or((0, ""), |(at, id)| (at.as_millis(), id.as_str()));
        format!("{}.{through}.{after_at}.{after}", through_at.as_millis())
    }
}

/// What a request is to do.
struct Batch {
    letters: Vec<Arc<DeadLetter>>,
    /// Where it begins; `None` when there are no dead letters at all.
    start: Option<Cursor>,
    /// Where the next one goes on; `None` when all have been looked at.
    next: Option<Cursor>,
}

/// Finds the dead letters of a batch. Reads from the disk.
fn find(port: &dyn DeadLetters, tenant: &Tenant, wanted: &Wanted, cursor: Option<Cursor>) -> Batch {
    let first = || port.list(tenant, None, 1).first().map(|newest| (newest.died_at, newest.id.clone()));
    let start = cursor.or_else(|| first().map(|through| Cursor { through, after: None }));
    let mut batch = Batch { letters: Vec::new(), start: start.clone(), next: None };
    let Some(Cursor { through, mut after }) = start else { return batch };
    // Those before the time are passed over unread.
    let since = wanted.filter.since.map(|since| (since, DeadLetterId::parse("")));
    after = after.max(since);
    let mut looked = 0;
    loop {
        let page = port.oldest(tenant, after.as_ref().map(|(at, id)| (*at, id)), PAGE);
        if page.is_empty() {
            return batch;
        }
        for letter in page {
            let place = (letter.died_at, letter.id.clone());
            if place > through || wanted.filter.until.is_some_and(|until| place.0 >= until) {
                return batch;
            }
            if batch.letters.len() == BATCH || looked == LOOKED_AT {
                batch.next = Some(Cursor { through, after });
                return batch;
            }
            after = Some(place);
            looked += 1;
            if wanted.filter.accepts(&letter) && wanted.accepts(&letter) {
                batch.letters.push(letter);
            }
        }
    }
}

/// Whether it would befall every other one as well.
fn is_general(error: &DeadLetterError) -> bool {
    match error {
        DeadLetterError::Publish(PublishError::Overloaded { .. } | PublishError::TooLarge { .. }) => false,
        DeadLetterError::Publish(_) => true,
        _ => false,
    }
}

/// Does it to each of a batch, the oldest first. Stops at what would befall all alike: that is the answer if nothing was
/// done, and else what the next request comes to.
async fn run<'a>(batch: Batch, act: impl Fn(&DeadLetterId) -> BoxFuture<'a, Done>) -> Result<BatchView, Failure> {
    let Batch { letters, mut start, next } = batch;
    let mut view = BatchView { done: Vec::new(), failed: Vec::new(), next: next.as_ref().map(Cursor::write) };
    let mut stopped = None;
    for some in letters.chunks(AT_ONCE) {
        // Polled in this order, and so queued in it.
        for (letter, outcome) in some.iter().zip(join_all(some.iter().map(|letter| act(&letter.id))).await) {
            match outcome {
                Ok(letter) => view.done.push(view::dead_letter_summary(&letter)),
                // Somebody else was faster.
                Err(DeadLetterError::Unknown(_)) => {}
                Err(error) if is_general(&error) => stopped = stopped.or(Some(error)),
                Err(error) => {
                    let (code, detail) = Failure::from(error).told();
                    view.failed.push(NotDoneView { id: letter.id.to_string(), code, detail });
                }
            }
            if let (None, Some(start)) = (&stopped, &mut start) {
                start.after = Some((letter.died_at, letter.id.clone()));
            }
        }
        match stopped {
            None => {}
            Some(error) if view.done.is_empty() => return Err(error.into()),
            Some(_) => return Ok(BatchView { next: start.as_ref().map(Cursor::write), ..view }),
        }
    }
    Ok(view)
}

async fn batch(admin: &Admin, tenant: &Tenant, uri: &Uri) -> Result<Batch, Failure> {
    let parameters: ManyParameters = query::parameters(uri)?;
    let malformed = |text: &str| Failure::new(Code::MalformedQuery, text);
    match (parameters.all, parameters.limits()) {
        (false, false) => {
            return Err(malformed("which dead letters are meant is not said").hint(
                "filter by `handler`, `subscription`, `topic`, `reason`, `since` or `until`, or write `all=true`",
            ));
        }
        (true, true) => return Err(malformed("`all=true` and a filter exclude one another")),
        _ => {}
    }
    let cursor = match &parameters.cursor {
        None => None,
        Some(text) => Some(Cursor::read(text).ok_or_else(|| malformed("parameter `cursor` is none of this host's"))?),
    };
    let ManyParameters { handler, subscription, topic, reason, since, until, .. } = parameters;
    let parameters = Parameters { limit: None, before: None, handler, subscription, topic, reason, since, until };
    let wanted = Wanted::read(parameters, admin.clock.wall().as_millis())?;
    let (broker, tenant) = (Arc::clone(&admin.broker), tenant.clone());
    let found = tokio::task::spawn_blocking(move || find(broker.dead_letters(), &tenant, &wanted, cursor)).await;
    found.map_err(|error| Failure::internal(&error.to_string()))
}

pub(crate) async fn redrive_many(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    let batch = batch(&admin, &tenant, &uri).await?;
    let port = admin.broker.dead_letters();
    Ok(json(StatusCode::OK, &run(batch, |id| port.redrive(&tenant, id)).await?))
}

pub(crate) async fn discard_many(State(admin): Shared, InTenant { tenant, .. }: InTenant<()>, uri: Uri) -> Answer {
    let batch = batch(&admin, &tenant, &uri).await?;
    let port = admin.broker.dead_letters();
    Ok(json(StatusCode::OK, &run(batch, |id| port.discard(&tenant, id)).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_wire() {
        let place = |at, id| (Timestamp::from_millis(at), DeadLetterId::parse(id));
        let cursor = Cursor { through: place(7, "b-1"), after: Some(place(5, "a-1")) };
        assert_eq!(cursor.write(), "7.b-1.5.a-1");
        assert_eq!(Cursor::read("7.b-1.5.a-1"), Some(cursor.clone()));
        assert_eq!(Cursor { after: None, ..cursor }.write(), "7.b-1.0.");
        for text in ["", "7.b.5", "x.b.5.a", "7.b.5.a.1"] {
            assert_eq!(Cursor::read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_one_is_not_taken_for_what_is_wrong_with_all() {
        let publish = |error| is_general(&DeadLetterError::Publish(error));
        let retry_after = std::time::Duration::from_secs(1);
        assert!(!publish(PublishError::Overloaded { what: "a".to_owned(), retry_after }));
        assert!(publish(PublishError::Full("the disk is full".to_owned())));
        assert!(publish(PublishError::Unavailable("a sync failed".to_owned())));
        assert!(!is_general(&DeadLetterError::Unknown(DeadLetterId::parse("a"))));
    }
}
