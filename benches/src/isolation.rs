//! Row group: what a tenant feels of its neighbour. Tenant `calm` publishes at a steady pace to the sample `hello` and
//! waits for each event to be settled; beside it tenant `hostile` runs every behaviour of the fixture of that name at once,
//! over and over, as far as its quota goes. The limit is `calm` alone, in the same rounds on the same host.
//!
//! For comparison, what `calm` feels of a machine that is busy with something else: as many programs that only compute as
//! there are cores, outside the host. That much is the system's scheduling, and no host could take it away.
//!
//! Which behaviour is felt most is measured when asked for, each on its own: `--only 'beside `loop`'`, or all of them with
//! ``--only 'beside `'``.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use hostel_api::client::{Client, ClientError, Publication};
use hostel_api::manifest::Manifest;

use crate::host::{Host, Newcomer};
use crate::load::Load;
use crate::over_http::{MANY, MEMORY};
use crate::pace::Waits;
use crate::report::Row;
use crate::round::{self, Contender, Group, Unit};
use crate::scale::Scale;
use crate::work;

/// The name of the subcommand that only computes.
pub(crate) const COMMAND: &str = "busy";
/// Events of `calm` in a second: far below what the host can take, so that what it waits for is the neighbour.
const PACE: f64 = 500.0;
/// Which of a thousand sorted waits are told.
const RANKS: [(usize, &str); 2] = [(500, "p50"), (990, "p99")];
/// How many of each behaviour are under way at once. With it `hostile` has more to do than its quota lets it.
const ABREAST: usize = 2;
/// What `hostile` may use: all that there is of the cores, and of everything else so much that it is felt.
const QUOTA: &str = "[quota]\nevents = 1000\ndeliveries = 1000\ninvocations = 64\nmemory = '2GiB'\n";
/// With so many attempts of `hostile` at once its storm has begun: a quarter of its quota.
const FULL_SWING: u64 = 16;
/// How long one waits that was told to come later. A fraction of what a second's quota is.
const LATER: Duration = Duration::from_millis(100);
/// How much nicer the publishers of `hostile` are than all else.
const NICER: i32 = 10;
/// Between two looks whether `hostile` has come to rest.
const LOOK: Duration = Duration::from_millis(10);
/// Every behaviour of the fixture; what floods does so with less than its default, so that all of them come round often.
const BEHAVIOURS: [&str; 37] = [
    "ok",
    "reject",
    "retry",
    "retry-after:20",
    "retry-until:2",
    "last-error",
    "loop",
    "sleep",
    "extend-forever",
    "extend",
    "allocate",
    "hold-memory",
    "recurse",
    "trap",
    "abort",
    "exit",
    "talk",
    "flood:20000",
    "flood-then-reject:20000",
    "print:20000",
    "long-line",
    "long-line-then-reject",
    "huge-reason",
    "huge-argument",
    "huge-publish",
    "publish:100",
    "publish-then-trap",
    "publish-then-reject",
    "denied-publish",
    "invalid-publish",
    "early-ack",
    "early-ack-then-trap",
    "early-ack-twice",
    "leak-check",
    "list-files",
    "list-environment",
    "dance",
];

/// What goes on beside `calm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nobody,
    Hostile,
    /// A hostile tenant that does only this.
    Only(&'static str),
    Programs,
}

/// Measures the group. `guests` is where the sample handlers are.
pub(crate) fn measure(program: &Path, (component, guests): (&Path, &Path), scale: &Scale) -> Result<Group> {
    let name = |rank: &str, broker: &str, beside| match beside {
        Beside::Nobody => format!("{rank} of a tenant's events, {broker} broker, alone"),
        Beside::Hostile => format!("{rank} of a tenant's events, {broker} broker, beside a hostile tenant"),
        Beside::Only(behaviour) => format!("{rank} of a tenant's events, {broker} broker, beside `{behaviour}`"),
        Beside::Programs => format!("{rank} of a tenant's events, {broker} broker, beside busy programs"),
    };
    // Each takes as long as the whole storm.
    let single = if scale.only.as_ref().is_some_and(|only| only.contains('`')) { BEHAVIOURS.as_slice() } else { &[] };
    let besides = [Beside::Hostile, Beside::Programs].into_iter().chain(single.iter().copied().map(Beside::Only));
    let besides: Vec<Beside> = besides.collect();
    let brokers = [("durable", ""), ("memory", MEMORY)];
    let mut rows = Vec::new();
    for (broker, _) in brokers {
        for (_, rank) in RANKS {
            let row = |beside| Row { subject: name(rank, broker, beside), limit: name(rank, broker, Beside::Nobody) };
            rows.extend(besides.iter().copied().map(row));
        }
    }
    rows.retain(|row| scale.wants(&row.subject));
    if rows.is_empty() {
        return Ok(Group::default());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count far below 2^52")]
    let events = (PACE * scale.paced.as_secs_f64()) as usize;
    let mut rigs = Vec::new();
    for (broker, config) in brokers {
        if rows.iter().any(|row| row.subject.contains(broker)) {
            rigs.push((broker, Rig::start(program, (component, &guests.join("hostile.wasm")), config)?));
        }
    }
    let mut contenders = Vec::new();
    for (broker, rig) in &rigs {
        for beside in std::iter::once(Beside::Nobody).chain(besides.iter().copied()) {
            for (rank, named) in RANKS {
                let run = move |events| rig.waits.borrow_mut().at(beside, rank, || rig.run(events, beside));
                contenders.push(Contender::of(&name(named, broker, beside), Unit::Microseconds, events, run));
            }
        }
    }
    Ok(round::measure(scale, contenders, rows))
}

/// A host with the two tenants.
struct Rig {
    tokio: tokio::runtime::Runtime,
    /// For the publishers of `hostile`. They would be on another machine: here they give way to those who are measured.
    storm: tokio::runtime::Runtime,
    calm: Client,
    hostile: Client,
    load: Arc<Load>,
    waits: RefCell<Waits<Beside>>,
    acked: Cell<usize>,
    _host: Host,
}

impl Rig {
    fn start(program: &Path, (component, fixture): (&Path, &Path), config: &str) -> Result<Self> {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let storm = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(|| {
                // Where it is refused, they are felt a little more.
                let _ = rustix::process::nice(NICER);
            })
            .enable_all()
            .build()?;
        let host = Host::start_with(program, &format!("{config}[access]\nrequire = 'token'\n"))?;
        let read =
            |path: &Path| std::fs::read(path).with_context(|| format!("cannot read component `{}`", path.display()));
        let (calm, hostile) = tokio.block_on(async {
            let calm = host.newcomer("calm", "").await?;
            let hostile = host.newcomer("hostile", QUOTA).await?;
            let hello = put(&calm.client, read(component)?).await?;
            deploy(
                &calm.client,
                json!({
                    "name": "hello", "component": hello, "subscriptions": [{ "pattern": work::PATTERN }],
                }),
            )
            .await?;
            let fixture = put(&hostile.client, read(fixture)?).await?;
            deploy(
                &hostile.client,
                json!({
                    "name": "hostile",
                    "component": fixture,
                    "publish": ["hostile.out"],
                    "subscriptions": [{
                        "pattern": "hostile.do",
                        "concurrency": 128,
                        "retry": { "attempts": 2, "backoff": "10ms", "backoff_limit": "50ms" },
                        // It goes on whatever happens.
                        "quarantine": { "faults": 0 },
                    }],
                    "limits": { "memory": "64MiB", "deadline": "250ms", "log_lines": 100, "log_bytes": "16KiB" },
                }),
            )
            .await?;
            anyhow::Ok((calm, hostile))
        })?;
        let path = format!("/topics/{}?wait=settled", work::TOPIC);
        let Newcomer { client: calm, token } = calm;
        let load = Load::with_token(host.ingress, (&path, StatusCode::OK), &token)?;
        let (waits, acked) = (RefCell::default(), Cell::new(0));
        Ok(Self { tokio, storm, calm, hostile: hostile.client, load, waits, acked, _host: host })
    }

    /// The waits of `calm`, once it is known that each of its events was handled, at its first attempt.
    fn run(&self, events: usize, beside: Beside) -> Result<Vec<Duration>> {
        self.tokio.block_on(async {
            let waits = match beside {
                Beside::Nobody => self.load.paced(MANY, (PACE, events)).await?,
                Beside::Programs => {
                    let _busy = Busy::start()?;
                    self.load.paced(MANY, (PACE, events)).await?
                }
                Beside::Hostile => self.beside_hostile(&BEHAVIOURS, events).await?,
                Beside::Only(behaviour) => self.beside_hostile(&[behaviour], events).await?,
            };
            ensure!(waits.len() == events, "{} of {events} events were answered", waits.len());
            let acked = acked(&self.calm).await?;
            let before = self.acked.replace(acked);
            ensure!(acked - before == events, "{} of {events} events were acknowledged", acked - before);
            Ok(waits)
        })
    }

    async fn beside_hostile(&self, behaviours: &[&'static str], events: usize) -> Result<Vec<Duration>> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut storm = JoinSet::new();
        for behaviour in behaviours.iter().cycle().take(BEHAVIOURS.len() * ABREAST) {
            storm.spawn_on(repeat(self.hostile.clone(), behaviour, Arc::clone(&stop)), self.storm.handle());
        }
        // What is over in no time never has so many attempts at once.
        let full_swing = if behaviours.len() > 1 { FULL_SWING } else { 0 };
        let waits = async {
            until(&self.hostile, |running, _| running >= full_swing).await?;
            self.load.paced(MANY, (PACE, events)).await
        };
        let waits = waits.await;
        stop.store(true, Ordering::Relaxed);
        while let Some(ended) = storm.join_next().await {
            ended??;
        }
        // The next round may be `calm`'s alone.
        until(&self.hostile, |_, unsettled| unsettled == 0).await?;
        waits
    }
}

async fn put(client: &Client, bytes: Vec<u8>) -> Result<String> {
    let digest = format!("sha256:{}", hostel_runtime::digest(&bytes));
    client.put_component(&digest, bytes.into()).await?;
    Ok(digest)
}

async fn deploy(client: &Client, manifest: serde_json::Value) -> Result<()> {
    let manifest: Manifest = serde_json::from_value(manifest)?;
    client.deploy(&manifest).await?;
    Ok(())
}

/// Has the fixture do one thing again and again, until told to stop.
async fn repeat(client: Client, behaviour: &str, stop: Arc<AtomicBool>) -> Result<()> {
    let body = behaviour.as_bytes().to_vec().into();
    let publication = Publication { topic: "hostile.do".to_owned(), body, ..Publication::default() };
    while !stop.load(Ordering::Relaxed) {
        match client.publish_and_wait(&publication, Scale::PATIENCE).await {
            Ok(_) => {}
            Err(ClientError::Problem { problem, .. }) if problem.status == StatusCode::TOO_MANY_REQUESTS.as_u16() => {
                tokio::time::sleep(LATER).await;
            }
            Err(error) => return Err(error).with_context(|| format!("`{behaviour}` was not taken")),
        }
    }
    Ok(())
}

/// Looks at a tenant's only subscription until what runs and what is not settled is as wanted.
async fn until(client: &Client, wanted: impl Fn(u64, u64) -> bool) -> Result<()> {
    let began = Instant::now();
    loop {
        let subscriptions = client.subscriptions().await?;
        let [own] = subscriptions.as_slice() else { bail!("the tenant has {} subscriptions", subscriptions.len()) };
        if wanted(own.running, own.running + own.waiting + own.sleeping) {
            return Ok(());
        }
        ensure!(began.elapsed() < Scale::PATIENCE, "the hostile tenant did not come to it: {own:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// How many events of a tenant were acknowledged, each at its first attempt.
async fn acked(client: &Client) -> Result<usize> {
    let subscriptions = client.subscriptions().await?;
    let [own] = subscriptions.as_slice() else { bail!("the tenant has {} subscriptions", subscriptions.len()) };
    let failed = own.retried + own.dead_lettered;
    ensure!(failed == 0, "{failed} attempts failed");
    Ok(usize::try_from(own.acked)?)
}

/// Programs that only compute, one for each core. Killed when this is dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn start() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut busy = Self(Vec::new());
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let child = Command::new(&program).arg(COMMAND).stdin(Stdio::null()).spawn();
            busy.0.push(child.context("cannot start this program again")?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    /// An error means that it has ended already.
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The subcommand: computes until it is killed, or the longest round is long over.
pub(crate) fn compute() {
    let began = Instant::now();
    while began.elapsed() < Scale::PATIENCE {
        std::hint::spin_loop();
    }
}
