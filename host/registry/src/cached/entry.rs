//! What is kept of one service. Decides without waiting; the time is an argument.

use parking_lot::Mutex;

use hostel_event::port::{Change, ChangeKind, RegistryError, Service};
use hostel_event::time::Moment;

use crate::cached::{Answer, Settings};
use crate::{telemetry, versions};

/// How many changes are remembered while the registry is asked; after more, the answer is not kept. Arbitrary: asking
/// takes a tenth of a second by mDNS, and few nodes come and go in that time.
const REMEMBERED: usize = 64;

/// One service.
#[derive(Default)]
pub(crate) struct Entry {
    /// Held by the one who asks the registry.
    pub(crate) asking: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
}

/// What the registry said last.
#[derive(Default)]
struct Held {
    /// `None` before the first answer, empty if the service was not found.
    services: Option<Vec<Service>>,
    /// When the registry said so.
    asked: Moment,
    /// Until when the registry need not be asked.
    until: Moment,
    /// Why the registry could not be asked the last time, if so.
    away: Option<String>,
    /// While the registry is asked, what the watch tells: the answer may be older.
    meanwhile: Option<Vec<Change>>,
    /// Whether the answer that is on its way must not be kept.
    spoiled: bool,
}

impl Held {
    fn answer(&self, name: &str) -> Result<Answer, RegistryError> {
        let services = self.services.as_ref().filter(|services| !services.is_empty());
        match (services, &self.away) {
            (Some(services), away) => {
                Ok(Answer { services: services.clone(), stale: away.is_some(), asked: self.asked })
            }
            (None, Some(reason)) => Err(RegistryError::Unreachable(reason.clone())),
            (None, None) => Err(RegistryError::NotFound(name.to_owned())),
        }
    }

    fn apply(&mut self, change: Change) {
        match &mut self.services {
            // One node is not the whole answer: ask.
            None => self.until = Moment::default(),
            Some(services) => {
                let was_empty = services.is_empty();
                match change.kind {
                    ChangeKind::Create | ChangeKind::Update => versions::add(services, change.service),
                    ChangeKind::Delete => versions::remove(services, &change.service),
                }
                if was_empty || services.is_empty() {
                    self.until = Moment::default();
                }
            }
        }
    }
}

impl Entry {
    /// What is kept, if it is still good.
    pub(crate) fn known(&self, name: &str, now: Moment) -> Option<Result<Answer, RegistryError>> {
        let held = self.held.lock();
        (now < held.until).then(|| held.answer(name))
    }

    /// Until when it is good.
    pub(crate) fn until(&self) -> Moment {
        self.held.lock().until
    }

    /// Makes the next look ask. What is known stays, in case the registry is away then.
    pub(crate) fn expire(&self) {
        let mut held = self.held.lock();
        held.until = Moment::default();
        held.spoiled = true;
    }

    /// The registry is about to be asked.
    pub(crate) fn begin(&self) {
        let mut held = self.held.lock();
        held.meanwhile = Some(Vec::new());
        held.spoiled = false;
    }

    /// Takes what the registry answered and says what to answer.
    pub(crate) fn keep(
        &self,
        name: &str,
        answer: Result<Vec<Service>, RegistryError>,
        now: Moment,
        settings: Settings,
    ) -> Result<Answer, RegistryError> {
        let mut held = self.held.lock();
        let meanwhile = held.meanwhile.take().unwrap_or_default();
        let services = match answer {
            Ok(services) => services,
            Err(RegistryError::NotFound(_)) => Vec::new(),
            Err(error) => {
                held.away = Some(reason(error));
                held.until = now.after(settings.negative_ttl);
                let answer = held.answer(name);
                if answer.is_ok() {
                    telemetry::stale_answer(name, now.since(held.asked));
                }
                return answer;
            }
        };
        held.until = now.after(if services.is_empty() { settings.negative_ttl } else { settings.ttl });
        held.services = Some(services);
        held.asked = now;
        held.away = None;
        for change in meanwhile {
            held.apply(change);
        }
        if held.spoiled {
            held.until = Moment::default();
        }
        held.answer(name)
    }

    /// Changes what is kept as the watch told.
    pub(crate) fn apply(&self, change: Change) {
        let mut held = self.held.lock();
        match &mut held.meanwhile {
            Some(meanwhile) if meanwhile.len() < REMEMBERED => meanwhile.push(change.clone()),
            Some(_) => held.spoiled = true,
            None => {}
        }
        held.apply(change);
    }
}

fn reason(error: RegistryError) -> String {
    match error {
        RegistryError::Unreachable(reason) => reason,
        other => other.to_string(),
    }
}
