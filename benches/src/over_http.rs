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
use crate::round::{self, Contender, Measured};
use crate::scale::Scale;
use crate::work;

/// Keep-alive connections: many, and one.
const MANY: usize = 64;
const ONE: usize = 1;

/// The two servers and what is sent to them.
struct Servers {
    tokio: Runtime,
    host: Host,
    /// Published, and answered when kept.
    publish: Arc<Load>,
    /// Published, and answered when settled.
    wait: Arc<Load>,
    /// The bare server's answers to both.
    bare_publish: Arc<Load>,
    bare_wait: Arc<Load>,
    _bare: Bare,
}

/// Measures the group.
pub(crate) fn measure(program: &Path, component: &Path, scale: &Scale) -> Result<(Vec<Measured>, Vec<Row>)> {
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
    round::measure(scale, contenders, rows)
}

impl Servers {
    fn start(program: &Path, component: &Path) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (host, bare) = (Host::start(program)?, Bare::start()?);
        tokio.block_on(host.deploy(component, work::PATTERN))?;
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
    fn bare(&self, load: &Arc<Load>, connections: usize, events: usize) -> Result<Duration> {
        self.tokio.block_on(async { Ok(load.run(connections, events).await?.elapsed()) })
    }

    /// Until the last answer and the last acknowledgement.
    fn hosted(&self, load: &Arc<Load>, connections: usize, events: usize) -> Result<Duration> {
        self.tokio.block_on(async {
            let before = self.host.acked().await?;
            let began = load.run(connections, events).await?;
            self.host.wait_until_acked(before + events).await?;
            Ok(began.elapsed())
        })
    }
}
