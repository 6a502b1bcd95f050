//! Row group 2: events over HTTP to a whole host, against a bare server that reads the same bodies and answers as much.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use http::StatusCode;
use tokio::runtime::Runtime;

use crate::bare::Bare;
use crate::host::Host;
use crate::load::Load;
use crate::report::Row;
use crate::round::{self, Contender, Group};
use crate::scale::Scale;
use crate::{languages, work};

/// Keep-alive connections: many, and one.
pub(crate) const MANY: usize = 64;
const ONE: usize = 1;
/// Events that a warm instance serves.
const REUSE: u32 = 10_000;
/// The broker that keeps nothing: what is measured here is the way of an event, not the disk.
pub(crate) const MEMORY: &str = "[broker]\nuse = \"memory\"\n";

/// Rows of other hosts than the one in the rows above: with a guest that does without WASI, with warm instances, and with
/// the durable broker.
pub(crate) fn measure_others(
    program: &Path,
    (component, guests): (&Path, &Path),
    scale: &Scale,
    skipped: &mut Vec<String>,
) -> Result<Group> {
    let name = |what: &str| format!("HTTP publish until acked, {what}, {MANY} connections");
    let (small, warm, durable) = (name("guest without WASI"), name("warm instances"), name("durable broker"));
    let (bare, fresh) = ("bare hyper, beside".to_owned(), name("fresh instances"));
    let row = |subject: &str, limit: &str| Row { subject: subject.to_owned(), limit: limit.to_owned() };
    let row_pair = |subject: &str| [row(subject, &bare), row(subject, &fresh)];
    let mut rows: Vec<Row> = [&small, &warm, &durable].into_iter().flat_map(|name| row_pair(name)).collect();
    if !rows.iter().any(|row| scale.wants(&row.subject)) {
        return Ok(Group::default());
    }
    let start = |config, reuse| Servers::start_with(program, component, (config, reuse));
    let mut hosts =
        vec![(fresh, start(MEMORY, None)?), (warm, start(MEMORY, Some(REUSE))?), (durable, start("", None)?)];
    if scale.wants(&small) {
        match languages::bare(guests, skipped) {
            Some(component) => hosts.push((small, Servers::start(program, &component)?)),
            None => rows.retain(|row| row.subject != small),
        }
    }
    let mut contenders = Vec::new();
    for (at, (name, servers)) in hosts.iter().enumerate() {
        if at == 0 {
            let one = move |n| servers.bare(&servers.bare_publish, MANY, n);
            contenders.push(Contender::new(&bare, scale.many_bare, one));
        }
        contenders.push(Contender::new(name, scale.many, move |n| servers.hosted(&servers.publish, MANY, n)));
    }
    Ok(round::measure(scale, contenders, rows))
}

/// The two servers and what is sent to them.
pub(crate) struct Servers {
    tokio: Runtime,
    host: Host,
    /// Published, and answered when kept.
    publish: Arc<Load>,
    /// Published, and answered when settled.
    pub(crate) wait: Arc<Load>,
    /// The bare server's answers to both.
    bare_publish: Arc<Load>,
    pub(crate) bare_wait: Arc<Load>,
    _bare: Bare,
}

/// Measures the group.
pub(crate) fn measure(program: &Path, component: &Path, scale: &Scale) -> Result<Group> {
    let servers = Servers::start(program, component)?;
    let mut contenders = Vec::new();
    let mut rows = Vec::new();
    for (connections, events, bare_events) in [(MANY, scale.many, scale.many_bare), (ONE, scale.one, scale.one_bare)] {
        let name = |what: &str| match connections {
            ONE => format!("{what}, 1 connection"),
            _ => format!("{what}, {connections} connections"),
        };
        let (bare, acked) = (name("bare hyper, the same body and answer"), name("HTTP publish until acked"));
        let (bare_wait, settled) =
            (name("bare hyper, the same body and the longer answer"), name("HTTP publish with `?wait=settled`"));
        let s = &servers;
        contenders.push(Contender::new(&bare, bare_events, move |n| s.bare(&s.bare_publish, connections, n)));
        contenders.push(Contender::new(&acked, events, move |n| s.hosted(&s.publish, connections, n)));
        contenders.push(Contender::new(&bare_wait, bare_events, move |n| s.bare(&s.bare_wait, connections, n)));
        contenders.push(Contender::new(&settled, events, move |n| s.hosted(&s.wait, connections, n)));
        rows.push(Row { subject: acked, limit: bare });
        rows.push(Row { subject: settled, limit: bare_wait });
    }
    Ok(round::measure(scale, contenders, rows))
}

impl Servers {
    /// With the broker in memory and fresh instances.
    pub(crate) fn start(program: &Path, component: &Path) -> Result<Self> {
        Self::start_with(program, component, (MEMORY, None))
    }

    /// With this config, and with instances that serve so many events.
    fn start_with(program: &Path, component: &Path, (config, reuse): (&str, Option<u32>)) -> Result<Self> {
        // One thread, whose share of the cores is about the same beside a server that is slow and one that is fast.
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (host, bare) = (Host::start_with(program, config)?, Bare::start()?);
        tokio.block_on(host.deploy(component, work::PATTERN, reuse))?;
        let path = format!("/topics/{}", work::TOPIC);
        let publish = Load::new(host.ingress, &path, StatusCode::ACCEPTED)?;
        let wait = Load::new(host.ingress, &format!("{path}?wait=settled"), StatusCode::OK)?;
        // The bare server is to answer with as many bytes as the host does.
        let (answer, long_answer) = (tokio.block_on(publish.probe())?, tokio.block_on(wait.probe())?);
        let bare_publish = Load::new(bare.address, &format!("/{answer}"), StatusCode::ACCEPTED)?;
        let bare_wait = Load::new(bare.address, &format!("/{long_answer}"), StatusCode::ACCEPTED)?;
        tokio.block_on(host.wait_until_acked(2))?;
        Ok(Self { tokio, host, publish, wait, bare_publish, bare_wait, _bare: bare })
    }

    /// Until the last answer.
    pub(crate) fn bare(&self, load: &Arc<Load>, connections: usize, events: usize) -> Result<Duration> {
        self.tokio.block_on(async { Ok(load.run(connections, events).await?.elapsed()) })
    }

    /// Until the last answer and the last acknowledgement.
    pub(crate) fn hosted(&self, load: &Arc<Load>, connections: usize, events: usize) -> Result<Duration> {
        self.tokio.block_on(async {
            let before = self.host.acked().await?;
            let began = load.run(connections, events).await?;
            self.host.wait_until_acked(before + events).await?;
            Ok(began.elapsed())
        })
    }

    /// How long each of so many requests waited that were due at a pace, per second.
    pub(crate) fn paced(&self, load: &Arc<Load>, connections: usize, due: (f64, usize)) -> Result<Vec<Duration>> {
        self.tokio.block_on(load.paced(connections, due))
    }
}
