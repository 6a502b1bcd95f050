//! Turns: who computes when more guests want to than there are cores.
//!
//! Most guests end before a tick finds them and never come here. One that a tick finds computing goes on only in a turn,
//! of which there are as many as cores: so the threads that run guests have few to come round to that compute, however
//! many there are, and an event that begins meanwhile waits for some ticks at most. Turns go to tenants alike. While guests
//! of a tenant wait for one, no other of the same tenant begins without; so a thousand that compute for less than a tick
//! each do not get past it either. Of one tenant, who begins and who goes on take turns. Nobody waits while one is free.
//!
//! A turn lasts for a tick, or until its guest waits for the host or ends. It is not given on at once at the tick, but
//! once the thread has come round to everything else, sockets and timers among it: else it would go from one guest that
//! computes to the next, and all else would wait until each of them had had its own.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};

use hostel_event::name::Tenant;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::meter::Meter;

/// Gives out turns.
pub(crate) struct Turns {
    board: Mutex<Board>,
    /// How many tenants have guests that wait. Changed under the lock, and read without it by each guest that begins: one
    /// that is late to see it begins without a turn, which does no harm.
    waiting: AtomicUsize,
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
        Arc::new(Self { board: Mutex::new(Board { free: turns, ..Board::default() }), waiting: AtomicUsize::new(0) })
    }

    /// Waits until a guest may begin: at once, unless others of its tenant wait for a turn; then in one. Cancelling is
    /// safe.
    pub(crate) async fn begin(self: &Arc<Self>, tenant: &Tenant) -> Option<Turn> {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let asked = {
            let mut board = self.board.lock();
            if !board.lines.contains_key(tenant) {
                return None;
            }
            self.line_up(&mut board, tenant, Wish::Begin)
        };
        // It cannot fail: nobody drops a sender but by sending.
        let turn = asked.await.ok();
        behind_others().await;
        turn
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
            self.ask(&tenant)
        } else {
            let asked = self.ask(&tenant);
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
            behind_others().await;
        }
        meter.went_on();
    }

    /// A turn to go on, or where it will come.
    fn ask(self: &Arc<Self>, tenant: &Tenant) -> Result<Turn, oneshot::Receiver<Turn>> {
        let mut board = self.board.lock();
        if board.free > 0 {
            board.free -= 1;
            return Ok(Turn { turns: Some(Arc::clone(self)) });
        }
        Err(self.line_up(&mut board, tenant, Wish::GoOn))
    }

    fn line_up(&self, board: &mut Board, tenant: &Tenant, wish: Wish) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        board.enter(tenant, wish, sender);
        self.waiting.store(board.lines.len(), Ordering::Relaxed);
        receiver
    }
}

/// Gives the thread back once, to the tasks that are ready. Whoever is woken by another task would be the very next one
/// otherwise, before what the sockets brought. A task that wakes itself goes to the end of the thread's queue.
async fn behind_others() {
    let mut is_behind = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_behind, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
                let next = board.leave();
                turns.waiting.store(board.lines.len(), Ordering::Relaxed);
                match next {
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
        let first = turns.ask(&tenant("a")).ok();
        let second = turns.ask(&tenant("a")).ok();
        assert!(first.is_some() && second.is_some());
        let mut third = turns.ask(&tenant("a")).err().unwrap();
        assert!(third.try_recv().is_err());
        drop(first);
        assert!(third.try_recv().is_ok());
        drop(second);
        assert_eq!(turns.board.lock().free, 2);
    }

    #[test]
    fn tenants_take_turns_however_many_guests_they_have() {
        let turns = Turns::of(1);
        let mut held = turns.ask(&tenant("a")).ok();
        let mut many: VecDeque<_> = (0..50).map(|_| turns.ask(&tenant("a")).err().unwrap()).collect();
        let mut few: VecDeque<_> = (0..5).map(|_| turns.ask(&tenant("b")).err().unwrap()).collect();
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
        let held = turns.ask(&tenant("a")).ok();
        drop(turns.ask(&tenant("a")).err());
        drop(turns.ask(&tenant("b")).err());
        let mut waits = turns.ask(&tenant("b")).err().unwrap();
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
    async fn who_begins_waits_only_behind_its_own_tenant() {
        let turns = Turns::of(1);
        assert!(turns.begin(&tenant("a")).await.is_none(), "nobody waits");
        let held = turns.ask(&tenant("a")).ok();
        assert!(turns.begin(&tenant("a")).await.is_none(), "nor does anybody now");
        let waits = turns.ask(&tenant("a")).err();
        assert!(turns.begin(&tenant("b")).await.is_none());
        let name = tenant("a");
        let mut begins = std::pin::pin!(turns.begin(&name));
        assert!(futures_util::poll!(begins.as_mut()).is_pending());
        drop(held);
        assert!(begins.await.is_some());
        drop(waits);
    }
}
