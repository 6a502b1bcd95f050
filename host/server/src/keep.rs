//! The broker that keeps this host's events, opened as the config says, and how well it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hostel_api::problem::Code;
use hostel_broker::durable::settings::{Policy, Retention, Settings, Unsettled};
use hostel_broker::durable::{Durable, Orphan};
use hostel_broker::memory::{self, Memory};
use hostel_event::id::Ids;
use hostel_event::pattern::Pattern;
use hostel_event::port::{Broker, Clock, SubscribeError};
use hostel_event::subscription::SubscriptionId;
use hostel_log::error::OpenError;
use hostel_log::log::Log;
use hostel_log::settings::Sync;

use crate::config::Config;
use crate::config::broker::{BrokerKind, SyncPolicy, TopicRule};
use crate::config::load::Mistake;
use crate::network::chain;
use crate::observe::metrics::LogCounts;

/// What keeps events. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(crate) struct Keep {
    broker: Arc<dyn Broker>,
    durable: Option<(Durable, Arc<Log>)>,
    memory: Option<Memory>,
}

impl Keep {
    /// Opens what the config asks for. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The log cannot be opened; the mistake says why and what to do.
    pub(crate) async fn open(config: &Config, clock: &Arc<dyn Clock>, ids: &Ids) -> Result<Self, Mistake> {
        if config.broker.kind == BrokerKind::Memory {
            let broker = Memory::new(memory_settings(config), Arc::clone(clock), ids.clone());
            return Ok(Self { broker: Arc::new(broker.clone()), durable: None, memory: Some(broker) });
        }
        let folder = config.data_dir.join("log");
        let log = {
            let folder = folder.clone();
            // Plays back what was written last, which may take seconds.
            tokio::task::spawn_blocking(move || Log::open(&folder, hostel_log::settings::Settings::default())).await
        };
        let log = match log {
            Ok(Ok(log)) => Arc::new(log),
            Ok(Err(error)) => return Err(unopened(&config.data_dir, &error)),
            Err(error) => return Err(Mistake { code: Code::Internal, text: format!("cannot open the log: {error}") }),
        };
        let opened = Durable::open(Arc::clone(&log), durable_settings(config)?, Arc::clone(clock), ids.clone()).await;
        let broker = opened.map_err(|error| Mistake {
            code: Code::LogDamaged,
            text: format!("cannot start on the log `{}`: {}", folder.display(), chain(&error)),
        })?;
        Ok(Self { broker: Arc::new(broker.clone()), durable: Some((broker, log)), memory: None })
    }

    /// The broker itself.
    pub(crate) fn broker(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.broker)
    }

    /// The log below it; none of a broker that keeps nothing.
    pub(crate) fn log(&self) -> Option<&Arc<Log>> {
        self.durable.as_ref().map(|(_, log)| log)
    }

    /// Bytes of events in memory that are not settled.
    pub(crate) fn bytes(&self) -> usize {
        match (&self.durable, &self.memory) {
            (Some((broker, _)), _) => broker.bytes(),
            (None, Some(broker)) => broker.bytes(),
            (None, None) => 0,
        }
    }

    /// The log in numbers, but for what its files have; none of a broker that keeps nothing.
    pub(crate) fn log_counts(&self) -> Option<LogCounts> {
        let (broker, log) = self.durable.as_ref()?;
        let (health, counts) = (log.health(), broker.counts());
        Some(LogCounts {
            event_bytes: log.event_bytes(),
            disk_bytes: 0,
            free_bytes: log.free_bytes().ok(),
            is_full: health.is_full,
            is_poisoned: health.poisoned.is_some(),
            expired: counts.expired,
            gone: counts.gone,
        })
    }

    /// Why no events are taken now; `None` if they are.
    pub(crate) fn trouble(&self) -> Option<String> {
        let health = self.log()?.health();
        match health.poisoned {
            Some(reason) => Some(format!("the log takes no more events: {reason}")),
            None => health.is_full.then(|| "the disk is full".to_owned()),
        }
    }

    /// What a subscription has not settled, where the broker keeps that itself; the dispatcher knows of a part of it.
    pub(crate) fn unsettled(&self, id: &SubscriptionId) -> Option<usize> {
        self.durable.as_ref().and_then(|(broker, _)| broker.unsettled(id))
    }

    /// Subscriptions that have not come back, with what waits for them.
    pub(crate) fn orphans(&self) -> Vec<Orphan> {
        self.durable.as_ref().map(|(broker, _)| broker.orphans()).unwrap_or_default()
    }

    /// Forgets one of those, and says how much waited for it.
    pub(crate) async fn drop_orphan(&self, id: &SubscriptionId) -> Result<usize, SubscribeError> {
        match &self.durable {
            Some((broker, _)) => broker.drop_orphan(id).await,
            None => Err(SubscribeError::Unknown(id.clone())),
        }
    }

    /// Says that all subscriptions are there that will be.
    pub(crate) fn begin(&self) {
        if let Some((broker, _)) = &self.durable {
            broker.begin();
        }
    }

    /// Ends, once nothing is delivered any more. Not safe to cancel.
    pub(crate) async fn close(&self) {
        let Some((broker, log)) = &self.durable else { return };
        broker.close().await;
        let log = Arc::clone(log);
        // Syncs what is left; a panic in it has nobody left to tell but the log lines, which have it.
        let _ = tokio::task::spawn_blocking(move || log.close()).await;
    }
}

fn unopened(data_dir: &Path, error: &OpenError) -> Mistake {
    let code = match error {
        OpenError::Locked { .. } => Code::DataDirectoryLocked,
        OpenError::Format { .. } => Code::LogFormat,
        OpenError::Damaged(_) => Code::LogDamaged,
        _ => Code::DataDirectoryUnusable,
    };
    let text = match error {
        OpenError::Locked { .. } => {
            format!("the data directory `{}` is used by another host that runs", data_dir.display())
        }
        error => format!("cannot open the log in the data directory `{}`: {}", data_dir.display(), chain(error)),
    };
    Mistake { code, text }
}

fn memory_settings(config: &Config) -> memory::Settings {
    let size = |size: hostel_api::unit::ByteSize| usize::try_from(size.0).unwrap_or(usize::MAX);
    memory::Settings {
        bytes: size(config.broker.memory),
        dead_letters: config.broker.dead_letters,
        dead_letter_bytes: size(config.broker.dead_letter_memory),
        key_value_bytes: size(config.broker.key_value_memory),
        choice: config.peers.selector.choice(),
        seed: rand::random(),
    }
}

fn durable_settings(config: &Config) -> Result<Settings, Mistake> {
    let broker = &config.broker;
    let rule = TopicRule {
        pattern: ">".to_owned(),
        sync: Some(broker.sync),
        keep_for: Some(broker.keep_for),
        keep_bytes: Some(broker.keep_bytes),
        keep_events: Some(broker.keep_events),
        drop: false,
    };
    let mut topics = Vec::with_capacity(broker.topics.len());
    for one in &broker.topics {
        // Checked when the config was read; checked again rather than believed.
        let pattern = Pattern::new(&one.pattern)
            .map_err(|error| Mistake { code: Code::BadConfigValue, text: format!("`broker.topics`: {error}") })?;
        topics.push((pattern, policy(one, &rule)));
    }
    Ok(Settings {
        memory: usize::try_from(broker.memory.0).unwrap_or(usize::MAX),
        dedupe: broker.dedupe_window.0,
        choice: config.peers.selector.choice(),
        seed: rand::random(),
        topics,
        policy: policy(&rule, &rule),
        ..Settings::default()
    })
}

/// What a rule says, and where it says nothing what the rule for all topics does.
fn policy(rule: &TopicRule, standard: &TopicRule) -> Policy {
    let sync = match rule.sync.or(standard.sync) {
        Some(SyncPolicy::Interval(interval)) => Sync::Interval(interval),
        Some(SyncPolicy::Never) => Sync::Never,
        Some(SyncPolicy::Always) | None => Sync::Always,
    };
    let retention = Retention {
        age: rule.keep_for.or(standard.keep_for).map(|span| span.0).filter(|age| *age > Duration::ZERO),
        bytes: rule.keep_bytes.or(standard.keep_bytes).map(|size| size.0).filter(|bytes| *bytes > 0),
        events: rule.keep_events.or(standard.keep_events).filter(|events| *events > 0),
        unsettled: if rule.drop { Unsettled::Drop } else { Unsettled::Keep },
    };
    Policy { sync, retention }
}
