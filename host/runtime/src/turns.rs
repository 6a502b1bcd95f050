//! Turns: who computes [aside](crate::aside) when more guests want to than there are cores.
//!
//! Who begins there begins in a turn, and whom a tick finds computing goes on in another. There are as many as threads, and
//! they go to tenants alike. Of one tenant, who begins and who goes on take turns. Nobody waits while one is free.
//!
//! A turn lasts for a tick, or until its guest waits for the host or ends. It is not given on at once at the tick, but
//! once the thread has come round to everything else, such as guests that the host has answered.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use hostel_event::name::Tenant;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::meter::Meter;

/// Gives out turns.
pub(crate) struct Turns {
    board: Mutex<Board>,
}

/// Who waits. Decides; wakes nobody.
#[derive(Default)]
struct Board {
    free: usize,
    /// Tenants with guests that wait.
    lines: HashMap<Tenant, Line>,
    /// What the line had used that got a turn last. Who comes anew begins there: idling saves nothing up.
    reached: u64,
}

#[derive(Default)]
struct Line {
    /// Turns that it got, counted from where it began.
    used: u64,
    /// Who begins.
    beginning: VecDeque<oneshot::Sender<Turn>>,
    /// Who computes already.
    going_on: VecDeque<oneshot::Sender<Turn>>,
    /// Whether one that begins got the last turn.
    began_last: bool,
}

/// What a turn is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Begin,
    GoOn,
}

/// The right to compute. Dropping it gives it to the next.
pub(crate) struct Turn {
    /// Whose it is; `None` once it was given on.
    turns: Option<Arc<Turns>>,
}

impl Turns {
    /// As many as the machine has cores.
    pub(crate) fn new() -> Arc<Self> {
        Self::of(std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn of(turns: usize) -> Arc<Self> {
        Arc::new(Self { board: Mutex::new(Board { free: turns, ..Board::default() }) })
    }

    /// Waits for the turn in which a guest begins. Cancelling is safe.
    pub(crate) async fn begin(self: &Arc<Self>, tenant: &Tenant) -> Option<Turn> {
        match self.ask(tenant, Wish::Begin) {
            Ok(turn) => Some(turn),
            // It cannot fail: nobody drops a sender but by sending.
            Err(waits) => waits.await.ok(),
        }
    }

    /// Gives the thread back, to whatever else there is, and then the turn, if the guest that `meter` measures has one.
    /// Then waits until it may go on: in another turn, which the meter then holds, or because it must stop now.
    /// Cancelling is safe.
    pub(crate) async fn next(self: Arc<Self>, tenant: Tenant, meter: Arc<Meter>) {
        // Tokio's own yield lets its timers and sockets have a turn as well, not only the other tasks. Who has no turn
        // lines up before, so that others of its tenant do not begin meanwhile.
        let mut asked = if meter.has_turn() {
            tokio::task::yield_now().await;
            meter.end_turn();
            self.ask(&tenant, Wish::GoOn)
        } else {
            let asked = self.ask(&tenant, Wish::GoOn);
            tokio::task::yield_now().await;
            asked
        };
        poll_fn(|context| {
            if !meter.is_over()
                && let Err(waits) = &mut asked
                // It cannot fail: nobody drops a sender but by sending.
                && let Ok(turn) = ready!(Pin::new(waits).poll(context))
            {
                asked = Ok(turn);
            }
            Poll::Ready(())
        })
        .await;
        if let Ok(turn) = asked {
            meter.begin_turn(turn);
        }
        meter.went_on();
    }

    /// A turn, or where it will come.
    fn ask(self: &Arc<Self>, tenant: &Tenant, wish: Wish) -> Result<Turn, oneshot::Receiver<Turn>> {
        let mut board = self.board.lock();
        if board.free > 0 {
            board.free -= 1;
            return Ok(Turn { turns: Some(Arc::clone(self)) });
        }
        let (sender, receiver) = oneshot::channel();
        board.enter(tenant, wish, sender);
        Err(receiver)
    }
}

impl Board {
    fn enter(&mut self, tenant: &Tenant, wish: Wish, sender: oneshot::Sender<Turn>) {
        let reached = self.reached;
        let line = self.lines.entry(tenant.clone()).or_insert_with(|| Line { used: reached, ..Line::default() });
        match wish {
            Wish::Begin => line.beginning.push_back(sender),
            Wish::GoOn => line.going_on.push_back(sender),
        }
    }

    /// Who is next: of the line that has used least. Lines are few, one for each tenant that computes long.
    fn leave(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (tenant, line) = self.lines.iter_mut().min_by_key(|(_, line)| line.used)?;
        self.reached = line.used;
        line.used += 1;
        let sender = line.leave();
        // What it has used is forgotten with its last guest that waits, and is then at most one turn ahead.
        if line.beginning.is_empty() && line.going_on.is_empty() {
            let tenant = tenant.clone();
            self.lines.remove(&tenant);
        }
        sender
    }
}

impl Line {
    fn leave(&mut self) -> Option<oneshot::Sender<Turn>> {
        self.began_last = !self.began_last && !self.beginning.is_empty() || self.going_on.is_empty();
        if self.began_last { self.beginning.pop_front() } else { self.going_on.pop_front() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        loop {
            let next = {
                let mut board = turns.board.lock();
                match board.leave() {
                    Some(next) => next,
                    None => {
                        board.free += 1;
                        return;
                    }
                }
            };
            // Outside the lock. Who has gone meanwhile is passed over.
            match next.send(Turn { turns: Some(Arc::clone(&turns)) }) {
                Ok(()) => return,
                Err(mut refused) => refused.turns = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::new(name).unwrap()
    }

    #[test]
    fn nobody_waits_while_a_turn_is_free() {
        let turns = Turns::of(2);
        let first = turns.ask(&tenant("a"), Wish::GoOn).ok();
        let second = turns.ask(&tenant("a"), Wish::GoOn).ok();
        assert!(first.is_some() && second.is_some());
        let mut third = turns.ask(&tenant("a"), Wish::GoOn).err().unwrap();
        assert!(third.try_recv().is_err());
        drop(first);
        assert!(third.try_recv().is_ok());
        drop(second);
        assert_eq!(turns.board.lock().free, 2);
    }

    #[test]
    fn tenants_take_turns_however_many_guests_they_have() {
        let turns = Turns::of(1);
        let mut held = turns.ask(&tenant("a"), Wish::GoOn).ok();
        let mut many: VecDeque<_> = (0..50).map(|_| turns.ask(&tenant("a"), Wish::GoOn).err().unwrap()).collect();
        let mut few: VecDeque<_> = (0..5).map(|_| turns.ask(&tenant("b"), Wish::GoOn).err().unwrap()).collect();
        let mut order = String::new();
        while !many.is_empty() || !few.is_empty() {
            drop(held.take());
            for (name, line) in [('a', &mut many), ('b', &mut few)] {
                if let Some(Ok(turn)) = line.front_mut().map(oneshot::Receiver::try_recv) {
                    line.pop_front();
                    order.push(name);
                    held = Some(turn);
                }
            }
            assert!(held.is_some(), "somebody gets it");
        }
        let (head, _) = order.split_at(10);
        assert_eq!((head.matches('a').count(), head.matches('b').count()), (5, 5), "{order}");
        assert_eq!(order.len(), 55);
    }

    #[test]
    fn who_has_gone_is_passed_over() {
        let turns = Turns::of(1);
        let held = turns.ask(&tenant("a"), Wish::GoOn).ok();
        drop(turns.ask(&tenant("a"), Wish::GoOn).err());
        drop(turns.ask(&tenant("b"), Wish::GoOn).err());
        let mut waits = turns.ask(&tenant("b"), Wish::GoOn).err().unwrap();
        drop(held);
        drop(waits.try_recv().unwrap());
        assert_eq!(turns.board.lock().free, 1);
        assert!(turns.board.lock().lines.is_empty());
    }

    #[test]
    fn who_comes_late_gets_no_more_than_its_share_from_then_on() {
        let mut board = Board::default();
        for _ in 0..100 {
            board.enter(&tenant("a"), Wish::GoOn, oneshot::channel().0);
        }
        for _ in 0..50 {
            drop(board.leave());
        }
        for _ in 0..100 {
            board.enter(&tenant("b"), Wish::GoOn, oneshot::channel().0);
        }
        for _ in 0..40 {
            drop(board.leave());
        }
        let left = |name| board.lines[&tenant(name)].going_on.len();
        assert!((left("a") + 20).abs_diff(50) <= 1, "{}", left("a"));
    }

    #[test]
    fn who_begins_and_who_goes_on_take_turns() {
        let mut board = Board::default();
        let mut receivers = Vec::new();
        for wish in [Wish::GoOn, Wish::GoOn, Wish::GoOn, Wish::Begin, Wish::Begin] {
            let (sender, receiver) = oneshot::channel();
            board.enter(&tenant("a"), wish, sender);
            receivers.push(receiver);
        }
        let mut told = Vec::new();
        for _ in 0..5 {
            drop(board.leave());
            let is_over = |it: &mut oneshot::Receiver<Turn>| matches!(it.try_recv(), Err(TryRecvError::Closed));
            let over = receivers.iter_mut().map(is_over).collect::<Vec<_>>();
            told.extend((0..5).filter(|at| over[*at] && !told.contains(at)).collect::<Vec<_>>());
        }
        assert_eq!(told, [3, 0, 4, 1, 2]);
        assert!(board.leave().is_none());
    }

    #[tokio::test]
    async fn who_begins_waits_for_a_turn() {
        let turns = Turns::of(1);
        let name = tenant("a");
        let held = turns.begin(&name).await;
        assert!(held.is_some(), "one is free");
        let mut begins = std::pin::pin!(turns.begin(&name));
        assert!(futures_util::poll!(begins.as_mut()).is_pending());
        drop(held);
        assert!(begins.await.is_some());
    }
}
