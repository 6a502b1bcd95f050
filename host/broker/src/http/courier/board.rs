//! Everything a courier knows, under its one lock, and what follows from it: which parcel goes to which node next, and
//! what becomes of it afterwards. Nothing here waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hostel_event::subscription::RetryPolicy;
use hostel_event::time::Moment;

use crate::http::circuit::Circuit;
use crate::http::client::{Answer, PostError};
use crate::http::selector::{Candidate, Chance};

use super::backlog::{Backlog, Hold, Order, Parcel, Take};
use super::{Counts, Settings, Tally, Target};

/// See the module's page.
pub(super) struct Board {
    pub(super) backlog: Backlog,
    peers: Vec<Peer>,
    /// Tasks that carry parcels or wait to.
    workers: usize,
    /// One of them waits.
    waits: bool,
    /// The subscription has ended: nothing goes out any more.
    ended: bool,
    /// Parcels on their way.
    in_flight: usize,
    chance: Chance,
    counts: Counts,
}

struct Peer {
    target: Arc<Target>,
    /// Until then it is left alone: it was heard of just now and may not be ready.
    settles_until: Moment,
    circuit: Circuit,
    in_flight: usize,
    counts: Counts,
    last_error: Option<String>,
}

impl Peer {
    /// Whether it may be given another parcel now.
    fn is_free(&self, now: Moment, settings: &Settings) -> bool {
        now >= self.settles_until && self.circuit.allows(now) && self.in_flight < settings.concurrency
    }
}

/// What a worker does next.
pub(super) enum Step {
    /// It carries a parcel.
    Go(Box<Job>),
    /// It gives up a parcel for this reason.
    Bury(Box<Parcel>, String),
    /// It waits until the moment, or until it is woken.
    Wait(Option<Moment>),
    /// It ends.
    Done,
}

/// A parcel on its way to a node.
pub(super) struct Job {
    pub(super) parcel: Parcel,
    pub(super) target: Arc<Target>,
}

/// What becomes of a parcel that was carried.
pub(super) enum Fate {
    Ack(Box<Parcel>),
    Bury(Box<Parcel>, String),
    /// It is in the backlog again.
    Again,
    /// The subscription ended meanwhile; the token is to be dropped.
    Dropped(Box<Parcel>),
}

/// What is to be done for what has come in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kick {
    Nothing,
    Wake,
    /// A worker is to be spawned. It is counted already.
    Spawn,
}

impl Board {
    pub(super) fn new(order: Order, targets: Vec<Target>, settings: &Settings, (seed, now): (u64, Moment)) -> Self {
        let mut board = Self {
            backlog: Backlog::new(order),
            peers: Vec::new(),
            workers: 0,
            waits: false,
            ended: false,
            in_flight: 0,
            chance: Chance::new(seed),
            counts: Counts::default(),
        };
        board.set_targets(targets, settings, now);
        board
    }

    /// Takes on the nodes there are now. Of those that stay, what is known is kept; whose address is news may be tried
    /// at once.
    pub(super) fn set_targets(&mut self, targets: Vec<Target>, settings: &Settings, now: Moment) {
        let circuit = settings.circuit;
        let known = std::mem::take(&mut self.peers);
        let mut known: HashMap<Arc<str>, Peer> =
            known.into_iter().map(|peer| (Arc::clone(&peer.target.id), peer)).collect();
        for target in targets {
            let peer = match known.remove(&target.id) {
                Some(peer) if *peer.target == target => peer,
                Some(peer) => Peer { target: Arc::new(target), circuit: Circuit::new(circuit), ..peer },
                None => Peer {
                    target: Arc::new(target),
                    settles_until: now.after(settings.settling),
                    circuit: Circuit::new(circuit),
                    in_flight: 0,
                    counts: Counts::default(),
                    last_error: None,
                },
            };
            self.peers.push(peer);
        }
    }

    /// A node was heard of: it may be tried at once.
    pub(super) fn hasten(&mut self, id: &str, now: Moment) {
        if let Some(peer) = self.peer(id) {
            peer.circuit.hasten(now);
        }
        self.backlog.release();
    }

    /// How many parcels may be on their way at a time.
    fn limit(&self, settings: &Settings) -> usize {
        match self.backlog.order() {
            Order::Kept => 1,
            Order::Free => self.peers.len().saturating_mul(settings.concurrency).max(1),
        }
    }

    /// Whether no node answered when last asked, or there is none.
    pub(super) fn is_away(&self) -> bool {
        self.peers.iter().all(|peer| peer.circuit.is_failing())
    }

    /// Whether every node has failed so often that it is not asked for now, or there is none.
    pub(super) fn is_broken(&self) -> bool {
        self.peers.iter().all(|peer| peer.circuit.is_broken())
    }

    /// What others want to know of when it changes: whether a node answers, and whether any does.
    pub(super) fn signs(&mut self, id: &str) -> (bool, bool) {
        (self.peer(id).is_some_and(|peer| peer.circuit.is_failing()), self.is_broken())
    }

    /// Nothing waits that could go out now, and nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && (self.backlog.is_empty() || self.is_away())
    }

    pub(super) fn unsettled(&self) -> usize {
        self.backlog.len() + self.in_flight
    }

    /// Something came in or changed.
    pub(super) fn kick(&mut self, now: Moment, settings: &Settings) -> Kick {
        if self.ended || self.backlog.is_empty() {
            return Kick::Nothing;
        }
        if self.waits {
            return Kick::Wake;
        }
        let helps = self.workers < self.limit(settings)
            && self.backlog.is_ready(now)
            && self.peers.iter().any(|peer| peer.is_free(now, settings));
        if self.workers == 0 || helps {
            self.workers += 1;
            return Kick::Spawn;
        }
        Kick::Nothing
    }

    /// What a worker does next. One that ends is not counted any more.
    pub(super) fn next(&mut self, now: Moment, settings: &Settings) -> Step {
        self.waits = false;
        if self.ended || self.workers > self.limit(settings) {
            return self.done();
        }
        loop {
            let mut parcel = match self.backlog.take(now) {
                Take::Parcel(parcel) => parcel,
                Take::Until(moment) => return self.wait(Some(moment)),
                Take::Empty => return self.done(),
            };
            if now.since(parcel.arrived) >= settings.retention && self.is_away() {
                let reason = format!("no node took it within {:?}", settings.retention);
                return Step::Bury(Box::new(parcel), reason);
            }
            if let Some(target) = self.choose(now, &parcel, settings) {
                return Step::Go(Box::new(Job { parcel, target }));
            }
            if parcel.tried.is_empty() {
                let expires = self.is_away().then(|| parcel.arrived.after(settings.retention));
                self.backlog.put_back(parcel);
                return self.wait([self.next_probe(now), expires].into_iter().flatten().min());
            }
            // Everyone has been tried: the round is over.
            parcel.tried.clear();
            let until = now.after(settings.pause(parcel.rounds));
            parcel.rounds = parcel.rounds.saturating_add(1);
            self.backlog.hold(parcel, until, Hold::Away);
        }
    }

    fn choose(&mut self, now: Moment, parcel: &Parcel, settings: &Settings) -> Option<Arc<Target>> {
        let may = |peer: &Peer| peer.is_free(now, settings) && !parcel.tried.contains(&peer.target.id);
        let candidates: Vec<Candidate> = self
            .peers
            .iter()
            .enumerate()
            .filter(|(_, peer)| may(peer))
            .map(|(number, peer)| Candidate { number, in_flight: peer.in_flight })
            .collect();
        let chosen = self.chance.choose(settings.selector, &candidates)?;
        let peer = self.peers.get_mut(chosen)?;
        peer.circuit.begin();
        peer.in_flight += 1;
        self.in_flight += 1;
        Some(Arc::clone(&peer.target))
    }

    /// One worker waits; others find the same and end.
    fn wait(&mut self, until: Option<Moment>) -> Step {
        if self.workers > 1 {
            return self.done();
        }
        self.waits = true;
        Step::Wait(until)
    }

    fn done(&mut self) -> Step {
        self.workers = self.workers.saturating_sub(1);
        Step::Done
    }

    /// A parcel was carried to a node.
    pub(super) fn finished(
        &mut self,
        now: Moment,
        settings: &Settings,
        Job { mut parcel, target }: Job,
        result: &Result<Answer, PostError>,
    ) -> Fate {
        self.in_flight = self.in_flight.saturating_sub(1);
        let back = self.note(now, &target.id, result);
        if back {
            self.backlog.release();
        }
        match result {
            Ok(answer) if answer.status.is_success() => {
                self.counts.delivered += 1;
                return Fate::Ack(Box::new(parcel));
            }
            _ if self.ended => return Fate::Dropped(Box::new(parcel)),
            Ok(answer) => {
                parcel.refused += 1;
                parcel.rounds = 0;
                if parcel.refused >= settings.retry.attempts {
                    let reason = format!("gave up after {} attempts: {}", parcel.refused, refusal(answer));
                    return Fate::Bury(Box::new(parcel), reason);
                }
                let delay = answer.retry_after.unwrap_or_else(|| self.jitter(&settings.retry, parcel.refused));
                self.backlog.hold(parcel, now.after(delay), Hold::Refused);
                return Fate::Again;
            }
            Err(PostError::Unanswered(error)) => {
                parcel.unanswered += 1;
                if parcel.unanswered >= settings.unanswered {
                    let reason = format!("gave up after {} attempts without an answer: {error}", parcel.unanswered);
                    return Fate::Bury(Box::new(parcel), reason);
                }
            }
            Err(PostError::Unreachable(_)) => {}
        }
        parcel.tried.push(Arc::clone(&target.id));
        self.backlog.put_back(parcel);
        Fate::Again
    }

    /// Learns of a node how it answered. Says whether it is back.
    fn note(&mut self, now: Moment, id: &str, result: &Result<Answer, PostError>) -> bool {
        let Some(peer) = self.peer(id) else { return false };
        peer.in_flight = peer.in_flight.saturating_sub(1);
        match result {
            Ok(answer) => {
                let was_failing = peer.circuit.is_failing();
                peer.circuit.succeed();
                if answer.status.is_success() {
                    peer.counts.delivered += 1;
                } else {
                    peer.counts.failed += 1;
                    peer.last_error = Some(refusal(answer));
                }
                was_failing
            }
            Err(error) => {
                peer.circuit.fail(now);
                peer.counts.failed += 1;
                peer.last_error = Some(error.to_string());
                false
            }
        }
    }

    /// A worker was stopped while it carried something.
    pub(super) fn abandoned(&mut self, now: Moment, id: &str) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(peer) = self.peer(id) {
            peer.in_flight = peer.in_flight.saturating_sub(1);
            peer.circuit.abandon(now);
        }
    }

    /// The nodes whose circuits are open and may be probed now. Each has to be told how that went.
    pub(super) fn probes(&mut self, now: Moment) -> Vec<Arc<Target>> {
        let mut due = Vec::new();
        for peer in &mut self.peers {
            if peer.circuit.is_broken() && peer.circuit.allows(now) {
                peer.circuit.begin();
                due.push(Arc::clone(&peer.target));
            }
        }
        due
    }

    /// When the next node may be probed.
    pub(super) fn next_probe(&self, now: Moment) -> Option<Moment> {
        let settled = |peer: &Peer| Some(peer.settles_until).filter(|until| *until > now);
        self.peers.iter().filter_map(|peer| peer.circuit.next_probe(now).max(settled(peer))).min()
    }

    /// A connection to a node came about or not, without a parcel.
    pub(super) fn probed(&mut self, now: Moment, id: &str, result: &Result<(), PostError>) {
        let Some(peer) = self.peer(id) else { return };
        match result {
            // That it takes connections is no answer yet: the next parcel is the probe.
            Ok(()) => peer.circuit.abandon(now),
            Err(error) => {
                peer.circuit.fail(now);
                peer.last_error = Some(error.to_string());
            }
        }
    }

    /// Ends: nothing goes out any more. Gives back what waited.
    pub(super) fn end(&mut self) -> Vec<Parcel> {
        self.ended = true;
        self.backlog.drain()
    }

    /// Begins again after an end.
    pub(super) fn begin(&mut self) {
        self.ended = false;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// While no node is there: takes out the oldest parcels until there is room in the window and `excess` bytes are out.
    pub(super) fn overflow(&mut self, window: usize, excess: usize) -> Vec<Parcel> {
        let mut surplus = Vec::new();
        if !self.is_away() {
            return surplus;
        }
        // A sixteenth stays free, so that publishers find room while these are being settled.
        let room = window.saturating_sub((window / 16).max(1));
        let mut bytes = 0;
        while self.unsettled() > room || bytes < excess {
            let Some(parcel) = self.backlog.pop_oldest() else { break };
            bytes += parcel.delivery.event.bytes();
            surplus.push(parcel);
        }
        surplus
    }

    pub(super) fn dead_lettered(&mut self) {
        self.counts.dead_lettered += 1;
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { waiting: self.backlog.len(), in_flight: self.in_flight, counts: self.counts, ended: self.ended }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = super::PeerState> {
        self.peers.iter().map(|peer| super::PeerState {
            target: Arc::clone(&peer.target),
            circuit: peer.circuit.state(),
            reachable: !peer.circuit.is_failing(),
            counts: peer.counts,
            last_error: peer.last_error.clone(),
        })
    }

    fn peer(&mut self, id: &str) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| *peer.target.id == *id)
    }

    fn jitter(&mut self, retry: &RetryPolicy, attempt: u32) -> Duration {
        let bound = usize::try_from(retry.bound(attempt).as_micros()).unwrap_or(usize::MAX);
        Duration::from_micros(self.chance.below(bound) as u64)
    }
}

/// What a failure that a node answered is called.
pub(super) fn refusal(answer: &Answer) -> String {
    if answer.excerpt.is_empty() {
        format!("answered with status {}", answer.status)
    } else {
        format!("answered with status {}: {}", answer.status, answer.excerpt)
    }
}
