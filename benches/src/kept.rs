//! Row group: how long a host takes to start on a large log, and what memory it has then, against one whose log holds
//! nothing but its handler. It takes long to fill: a million events where only this is asked for, ten million where what
//! takes long is asked for as well, and none otherwise.
//!
//! Nine of ten events are history: on a topic that nobody hears. One of ten waits for a subscription that is paused, as
//! when its handler is away. They are small, of 100 bytes: what a start costs goes with their number. The host ended in
//! good order before, and the kernel has the files in its cache.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::StatusCode;
use tokio::runtime::Runtime;

use crate::host::Home;
use crate::load::{Load, Wanted};
use crate::over_http::MANY;
use crate::report::Row;
use crate::round::{self, Contender, Group, Unit};
use crate::scale::Scale;
use crate::work;

/// Everything stays, and filling does not wait for the disk.
const CONFIG: &str = "[broker]\nsync = 'never'\nkeep_for = '0s'\nkeep_bytes = '0B'\n";
/// Heard by nobody.
const HISTORY: &str = "archive.bench";
/// Of how many events one is not settled.
const ONE_OF: usize = 10;
/// Bytes of an event's body.
const BYTES: usize = 100;
/// A start on a large log may take seconds: fewer rounds than elsewhere tell as much.
const ROUNDS: usize = 5;

/// Measures the group, where it is asked for.
pub(crate) fn measure(program: &Path, component: &Path, scale: &Scale) -> Result<Group> {
    let Some(events) = scale.kept.or(scale.only.is_some().then_some(Scale::KEPT)) else {
        return Ok(Group::default());
    };
    let unsettled = events / ONE_OF;
    let log = format!("a log of {events} events, {unsettled} not settled");
    let (start, memory) = (format!("a host ready on {log}"), format!("resident memory of a host on {log}"));
    let (empty_start, empty_memory) =
        ("a host ready on an empty log".to_owned(), "resident memory of a host on an empty log".to_owned());
    let row = |subject: &str, limit: &str| Row { subject: subject.to_owned(), limit: limit.to_owned() };
    let rows = vec![row(&start, &empty_start), row(&memory, &empty_memory)];
    if !rows.iter().any(|row| scale.wants(&row.subject)) {
        return Ok(Group::default());
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let made = |kept, waiting| Archive::fill(&tokio, (program, component), (kept, waiting));
    let (empty, full) = (made(0, 0)?, made(events - unsettled, unsettled)?);
    let contenders = vec![
        Contender::of(&empty_start, Unit::Microseconds, 1, |_| Ok(empty.start(&tokio)?.0)),
        Contender::of(&start, Unit::Microseconds, events, |_| Ok(full.start(&tokio)?.0)),
        Contender::of(&empty_memory, Unit::Mebibytes, 1, |_| Ok(empty.start(&tokio)?.1)),
        Contender::of(&memory, Unit::Mebibytes, events, |_| Ok(full.start(&tokio)?.1)),
    ];
    let scale = Scale { rounds: scale.rounds.min(ROUNDS), ..scale.clone() };
    Ok(round::measure(&scale, contenders, rows))
}

/// A host's data with events in it.
struct Archive {
    home: Arc<Home>,
    /// Events that wait for the one subscription.
    waiting: usize,
}

impl Archive {
    /// Fills a log with so many events that are kept, and so many that wait.
    fn fill(tokio: &Runtime, (program, component): (&Path, &Path), (kept, waiting): (usize, usize)) -> Result<Self> {
        let home = Home::new(program, CONFIG)?;
        let host = home.start()?;
        tokio.block_on(async {
            host.deploy(component, work::PATTERN, None).await?;
            host.client().pause("hello").await?;
            for (topic, events) in [(HISTORY, kept), (work::TOPIC, waiting)] {
                let target = format!("/topics/{topic}");
                // As JSON: a text.
                let body = Bytes::from(format!("\"{}\"", "x".repeat(BYTES - 2)));
                let wanted = [Wanted { target, token: None }];
                let load = Load::of(host.ingress, &wanted, (body, StatusCode::ACCEPTED))?;
                load.run(MANY, events).await?;
            }
            anyhow::Ok(())
        })?;
        host.stop()?;
        Ok(Self { home, waiting })
    }

    /// How long a start took in microseconds, and the memory that the host then had in MiB.
    fn start(&self, tokio: &Runtime) -> Result<(f64, f64)> {
        let host = self.home.start()?;
        let (took, resident) = (host.took, host.resident()?);
        let subscriptions = tokio.block_on(host.client().subscriptions())?;
        let waiting = subscriptions.first().context("the host has no subscription")?.waiting;
        ensure!(waiting == self.waiting as u64, "{waiting} events wait, and {} were left waiting", self.waiting);
        host.stop()?;
        #[expect(clippy::cast_precision_loss, reason = "kibibytes of memory are far below 2^52")]
        let mebibytes = resident as f64 / 1024.0;
        Ok((took.as_secs_f64() * 1e6, mebibytes))
    }
}
