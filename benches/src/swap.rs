//! Row group: what publishers notice of hot swaps. Events come at a steady pace while the handler is swapped again and
//! again between two components; beside it the same pace without a swap. And how long going back to the version before
//! takes, beside asking for the handler.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::StatusCode;

use crate::host::Host;
use crate::load::Load;
use crate::over_http::{MANY, MEMORY};
use crate::pace::ranked;
use crate::report::Row;
use crate::round::{self, Contender, Group, Unit};
use crate::scale::Scale;
use crate::work;

/// Events in a second.
const PACE: f64 = 2_000.0;
/// Between two swaps.
const PAUSE: Duration = Duration::from_millis(10);

/// Measures the group.
pub(crate) fn measure(program: &Path, component: &Path, scale: &Scale) -> Result<Group> {
    let (swapped, steady) = (
        format!("p99.9 of publish until settled, at 2,000/s, during {} hot swaps", scale.swaps),
        "p99.9 of publish until settled, at 2,000/s".to_owned(),
    );
    let (rollback, ask) = ("going back to the version before".to_owned(), "asking for a handler".to_owned());
    let row = |subject: &str, limit: &str| Row { subject: subject.to_owned(), limit: limit.to_owned() };
    let rows = vec![row(&swapped, &steady), row(&rollback, &ask)];
    if !rows.iter().any(|row| scale.wants(&row.subject)) {
        return Ok(Group::default());
    }
    let rig = Rig::start(program, component)?;
    // As long as the swaps take.
    let time = (PAUSE * 2).mul_f64(usize_f64(scale.swaps));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count far below 2^52")]
    let events = (PACE * time.as_secs_f64()) as usize;
    let contenders = vec![
        Contender::of(&steady, Unit::Microseconds, events, |events| rig.steady(events)),
        Contender::of(&swapped, Unit::Microseconds, events, |events| rig.swapped(events, scale.swaps)),
        Contender::of(&ask, Unit::Microseconds, 1, |_| rig.ask()),
        Contender::of(&rollback, Unit::Microseconds, 1, |_| rig.rollback()),
    ];
    Ok(round::measure(scale, contenders, rows))
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
fn usize_f64(count: usize) -> f64 {
    count as f64
}

/// A host with two components, which differ in a section that nobody reads.
struct Rig {
    tokio: tokio::runtime::Runtime,
    host: Host,
    load: std::sync::Arc<Load>,
    components: [String; 2],
    acked: Cell<usize>,
}

impl Rig {
    fn start(program: &Path, component: &Path) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let host = Host::start_with(program, MEMORY)?;
        let bytes =
            std::fs::read(component).with_context(|| format!("cannot read component `{}`", component.display()))?;
        let components = tokio.block_on(async {
            let first = host.put(bytes.clone()).await?;
            let second = host.put(work::marked(&bytes, 1)).await?;
            for component in [&first, &second] {
                host.switch(component, work::PATTERN, None).await?;
            }
            anyhow::Ok([first, second])
        })?;
        let load = Load::new(host.ingress, &format!("/topics/{}?wait=settled", work::TOPIC), StatusCode::OK)?;
        Ok(Self { tokio, host, load, components, acked: Cell::new(0) })
    }

    fn steady(&self, events: usize) -> Result<f64> {
        let waits = self.tokio.block_on(self.load.paced(MANY, (PACE, events)))?;
        self.told(waits, events)
    }

    fn swapped(&self, events: usize, swaps: usize) -> Result<f64> {
        let waits = self.tokio.block_on(async {
            let swapping = async {
                for component in self.components.iter().cycle().take(swaps) {
                    self.host.switch(component, work::PATTERN, None).await?;
                    tokio::time::sleep(PAUSE).await;
                }
                anyhow::Ok(())
            };
            let (waits, swapped) = tokio::join!(self.load.paced(MANY, (PACE, events)), swapping);
            swapped?;
            waits
        })?;
        self.told(waits, events)
    }

    /// The figure, once it is known that each event was handled once and at its first attempt.
    fn told(&self, mut waits: Vec<Duration>, events: usize) -> Result<f64> {
        ensure!(waits.len() == events, "{} of {events} events were answered", waits.len());
        let acked = self.tokio.block_on(self.host.acked())?;
        let before = self.acked.replace(acked);
        ensure!(acked - before == events, "{} of {events} events were acknowledged", acked - before);
        waits.sort_unstable();
        Ok(ranked(&waits, 999)?.as_secs_f64() * 1e6)
    }

    fn ask(&self) -> Result<f64> {
        let began = Instant::now();
        self.tokio.block_on(self.host.client().handler("hello"))?;
        Ok(began.elapsed().as_secs_f64() * 1e6)
    }

    fn rollback(&self) -> Result<f64> {
        let began = Instant::now();
        self.tokio.block_on(self.host.client().rollback("hello"))?;
        Ok(began.elapsed().as_secs_f64() * 1e6)
    }
}
