//! The end of a subscription: what it has goes to another member of its queue group, or is forgotten.
//!
//! Moving an event is one batch that settles it here and keeps it anew for its heir. What its handler still runs is not
//! touched; it is moved when its token comes back. The lane is forgotten when it has nothing left. All of this is
//! remembered in its document, so that a restart carries on.

use std::sync::Arc;

use hostel_event::message::Event;
use hostel_event::name::QueueGroup;
use hostel_event::port::{SubscribeError, Unsubscribed};
use hostel_event::subscription::{Subscription, SubscriptionId};
use hostel_log::batch::Batch;
use hostel_log::error::{CommitError, Conflict};
use hostel_log::record::Kind;
use hostel_log::settings::Sync;

use super::joining::{document_key, subscribe_error};
use super::lane::{Entry, Lane, Seat};
use super::line::{Answer, Publication};
use super::queue::Load;
use super::record::{self, Known};
use super::{Shared, feeder};

/// How many are moved in one go.
const MOVED: usize = 64;

/// Ends a subscription, whether it is there or absent.
pub(crate) async fn unsubscribe(shared: &Arc<Shared>, id: &SubscriptionId) -> Result<Unsubscribed, SubscribeError> {
    let _changing = shared.changing.lock().await;
    let lane = shared.table.read().lane_of(id).cloned().ok_or_else(|| SubscribeError::Unknown(id.clone()))?;
    let lane = &lane;
    let known = Known { ended: true, pause: None, ..lane.document() };
    let queue = known.queue.clone();
    let mut batch = Batch::new();
    batch.put_document(Kind::Subscription, document_key(known.number), record::known(&known));
    shared.log.commit(batch, Sync::Always).await.map_err(|error| subscribe_error(&error))?;
    // From before it ends, so that nobody else moves what is to be counted here.
    let moving = lane.moving.lock().await;
    let replay;
    let seat = {
        let mut table = shared.table.write();
        table.remove(id);
        table.absent.remove(id);
        replay = table.replays.remove(id);
        if let Some(replay) = &replay {
            replay.end(None);
        }
        lane.end(queue)
    };
    // Afterwards nothing is on its way to the sink that might come there after it has forgotten.
    shared.line.pass().await;
    shared.feeding.pass().await;
    if let Some(Seat { sink, .. }) = seat {
        sink.forget(id);
    }
    let mut total = Unsubscribed { discarded: 0, handed_over: 0 };
    if let Some(replay) = replay {
        total.discarded += replay.discard();
        shared.keeper.left(&replay);
    }
    while let Step::Moved(moved) = step(shared, lane).await {
        total.discarded += moved.discarded;
        total.handed_over += moved.handed_over;
    }
    drop(moving);
    // What came back meanwhile was left to this one.
    shared.keeper.left(lane);
    Ok(total)
}

/// Carries on with a lane that has ended, one step; says so to the keeper if there is more.
pub(crate) async fn carry_on(shared: &Arc<Shared>, lane: &Arc<Lane>) {
    let Ok(_moving) = lane.moving.try_lock() else { return };
    if let Step::Moved(_) = step(shared, lane).await {
        shared.keeper.left(lane);
    }
}

enum Step {
    /// So many were moved; there may be more.
    Moved(Unsubscribed),
    /// There is nothing to do for now.
    Idle,
}

async fn step(shared: &Arc<Shared>, lane: &Arc<Lane>) -> Step {
    let heirs = lane.heirs().filter(|queue| shared.table.read().has_member(&lane.known.tenant, queue));
    let Some(queue) = heirs else {
        let discarded = lane.discard();
        forget_if_empty(shared, lane).await;
        return if discarded > 0 { Step::Moved(Unsubscribed { discarded, handed_over: 0 }) } else { Step::Idle };
    };
    let loads = lane.movable(MOVED);
    if loads.is_empty() {
        forget_if_empty(shared, lane).await;
        return Step::Idle;
    }
    let Some(events) = read(shared, &loads).await else { return Step::Idle };
    let mut total = Unsubscribed { discarded: 0, handed_over: 0 };
    let mut queued = Vec::new();
    for (load, event) in loads.into_iter().zip(events) {
        let answer = event.map(|event| hand_over(shared, (lane, load), &queue, Arc::new(event)));
        match answer {
            Some(Ok(Some(answer))) => queued.push((load, answer)),
            Some(Err(_)) => return Step::Idle,
            // Nobody hears it, or it is gone. Its settlement goes with the lane.
            Some(Ok(None)) | None => {
                total.discarded += 1;
                let _ = lane.finish(load.place.offset);
            }
        }
    }
    for (load, answer) in queued {
        match answer.await {
            Ok(Ok(_)) => total.handed_over += 1,
            // Somebody else was faster.
            Ok(Err(CommitError::Conflict(Conflict::Settled { .. }))) => {}
            // It stays and is moved after a restart, if not before.
            _ => return Step::Idle,
        }
        let _ = lane.finish(load.place.offset);
    }
    Step::Moved(total)
}

async fn read(shared: &Arc<Shared>, loads: &[Load]) -> Option<Vec<Option<Event>>> {
    let log = Arc::clone(&shared.log);
    let wanted: Vec<_> = loads.iter().map(|load| (shared.topics.name(load.place.topic), *load)).collect();
    let read = tokio::task::spawn_blocking(move || {
        let read = |(name, load): (Option<_>, _)| match name {
            Some(name) => feeder::read_event(&log, &name, load),
            None => Ok(None),
        };
        wanted.into_iter().map(read).collect::<Result<Vec<_>, String>>()
    });
    match read.await {
        Ok(Ok(events)) => Some(events),
        _ => None,
    }
}

/// Queues a batch that moves one; `None` if no member of the group hears its topic.
fn hand_over(
    shared: &Arc<Shared>,
    (lane, load): (&Arc<Lane>, Load),
    queue: &QueueGroup,
    event: Arc<Event>,
) -> Result<Option<Answer>, CommitError> {
    let mut batch = Batch::new();
    batch.settle(lane.number(), load.place.offset);
    if load.has_history {
        batch.remove_delivery(lane.number(), load.place.offset);
    }
    let table = shared.table.read();
    let Some(routes) = table.routes.get(&event.tenant) else { return Ok(None) };
    let mut members: Vec<&Arc<Entry>> = Vec::new();
    routes.visit(&event.topic, |entry| {
        let Subscription { tenant, queue: group, .. } = &*entry.subscription;
        if group.as_ref() == Some(queue) && *tenant == lane.known.tenant {
            members.push(entry);
        }
    });
    let Some(heir) = shared.chooser.pick(&members) else { return Ok(None) };
    let sync = shared.settings.policy(&event.topic).sync;
    let targets = vec![Arc::clone(&heir.lane)];
    batch.publish(shared.kept_as(&event, &targets, None));
    let topic = shared.topics.key(&event.tenant, &event.topic);
    shared.line.commit(&shared.log, (batch, sync), vec![Publication { event, topic, targets }]).map(Some)
}

/// Forgets a lane that has nothing left.
async fn forget_if_empty(shared: &Arc<Shared>, lane: &Arc<Lane>) {
    if lane.unsettled() == 0 {
        // A failure leaves an empty lane in the log, which the next start forgets.
        let _ = forget(shared, lane).await;
    }
}

/// Forgets a lane with all that is unsettled of it.
pub(crate) async fn forget(shared: &Arc<Shared>, lane: &Arc<Lane>) -> Result<(), CommitError> {
    let mut batch = Batch::new();
    batch.forget_subscription(lane.number()).remove_document(Kind::Subscription, document_key(lane.number()));
    shared.log.commit(batch, Sync::Always).await?;
    let mut table = shared.table.write();
    table.lanes.remove(&lane.number());
    let is_it = |other: &Arc<Lane>| other.number() == lane.number();
    if table.absent.get(lane.id()).is_some_and(is_it) {
        table.absent.remove(lane.id());
    }
    if table.replays.get(lane.id()).is_some_and(is_it) {
        table.replays.remove(lane.id());
    }
    let entry = table.entries.get(lane.id()).cloned();
    drop(table);
    if let Some(entry) = entry {
        shared.share_window(&entry);
    }
    Ok(())
}
