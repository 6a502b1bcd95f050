//! Row group: what handlers cost that wait for events. Memory for each, where all share one component and where each has
//! its own; and how long it takes until they are ready, when their code must be compiled and when it is in the cache.
//!
//! Each figure is that of a process of its own, in which runtime, broker and dispatcher know so many handlers of so many
//! tenants, ten each, every one with a subscription. Components of their own are the sample `hello` with a section that
//! nobody reads, which makes them other components to the host.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use hostel_event::handler::{Digest, Grants, Handler, Limits};
use hostel_event::name::{HandlerName, Tenant, Version};
use hostel_event::pattern::Pattern;
use hostel_event::port::{Clock, Invoke};
use hostel_event::subscription::Subscription;
use hostel_runtime::{Component, Runtime};

use crate::neighbours::resident;
use crate::report::Row;
use crate::round::{self, Contender, Group, Unit};
use crate::scale::Scale;
use crate::spine::{MachineClock, Spine};
use crate::work;

/// The name of the subcommand that tells what handlers cost.
pub(crate) const COMMAND: &str = "idle-handlers";
/// Handlers of one tenant.
const EACH: usize = 10;

/// How many handlers, and of how many components.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Shape {
    /// The component of the sample handler `hello`.
    #[arg(long)]
    component: PathBuf,
    /// Handlers in all.
    #[arg(long)]
    handlers: usize,
    /// Components that they share.
    #[arg(long)]
    components: usize,
    /// Where compiled code is kept.
    #[arg(long)]
    cache: PathBuf,
}

/// What a process with idle handlers tells.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Told {
    kibibytes: u64,
    seconds: f64,
}

/// Measures the group.
pub(crate) fn measure(component: &Path, scale: &Scale) -> Result<Group> {
    let (many, own) = (scale.idle, scale.idle_own);
    let shared_memory = format!("memory of an idle handler, of {many} that share a component");
    let own_memory = format!("memory of an idle handler, of {own} with a component of their own");
    let no_memory = "resident memory with one handler, shared out to as many".to_owned();
    let ten = format!("{many} handlers of ten components ready, code from the cache");
    let one = "one handler ready, code from the cache".to_owned();
    let compiled = "one component compiled and ready".to_owned();
    let row = |subject: &str, limit: &str| Row { subject: subject.to_owned(), limit: limit.to_owned() };
    let rows =
        vec![row(&shared_memory, &no_memory), row(&own_memory, &no_memory), row(&ten, &one), row(&compiled, &one)];
    if !rows.iter().any(|row| scale.wants(&row.subject)) {
        return Ok(Group::default());
    }
    let cache = tempfile::tempdir().context("cannot make a temporary folder")?;
    let shape = |handlers, components| Shape {
        component: component.to_owned(),
        handlers,
        components,
        cache: cache.path().to_owned(),
    };
    let micros = |told: Told| told.seconds * 1e6;
    let base = || anyhow::Ok(ask(&shape(1, 1))?.kibibytes);
    let contenders = vec![
        Contender::of(&no_memory, Unit::Kibibytes, many, |n| each(base()?, 0, n)),
        Contender::of(&shared_memory, Unit::Kibibytes, many, |n| each(ask(&shape(n, 1))?.kibibytes, base()?, n)),
        Contender::of(&own_memory, Unit::Kibibytes, own, |n| each(ask(&shape(n, n))?.kibibytes, base()?, n)),
        Contender::of(&one, Unit::Microseconds, 1, |n| Ok(micros(ask(&shape(n, 1))?))),
        Contender::of(&ten, Unit::Microseconds, many, |n| Ok(micros(ask(&shape(n, 10))?))),
        Contender::of(&compiled, Unit::Microseconds, 1, |n| {
            let empty: TempDir = tempfile::tempdir().context("cannot make a temporary folder")?;
            Ok(micros(ask(&Shape { cache: empty.path().to_owned(), ..shape(n, 1) })?))
        }),
    ];
    Ok(round::measure(scale, contenders, rows))
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
fn each(kibibytes: u64, base: u64, handlers: usize) -> Result<f64> {
    ensure!(handlers > 0, "no handlers");
    Ok(kibibytes.saturating_sub(base) as f64 / handlers as f64)
}

/// The subcommand: makes so many handlers ready and prints what that took.
#[expect(clippy::print_stdout, reason = "whoever starts this reads it")]
pub(crate) fn tell(shape: &Shape) -> Result<()> {
    let bytes = std::fs::read(&shape.component)
        .with_context(|| format!("cannot read component `{}`", shape.component.display()))?;
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let clock: Arc<dyn Clock> = Arc::new(MachineClock::new());
    let spine = tokio.block_on(Spine::new(&clock));
    let began = Instant::now();
    let runtime = Runtime::new(&hostel_runtime::Settings::new(shape.cache.clone()), clock)?;
    let load = |mark| anyhow::Ok(runtime.load(&work::marked(&bytes, mark))?);
    let components: Vec<Arc<Component>> = (0..shape.components).map(load).collect::<Result<_>>()?;
    if components.is_empty() {
        bail!("no components");
    }
    for (number, component) in (0..shape.handlers).zip(components.iter().cycle()) {
        let handler = handler(number, component.digest())?;
        let guest: Arc<dyn Invoke> = runtime.prepare(component, &handler)?;
        for subscription in handler.subscriptions {
            let subscription = Arc::new(subscription);
            spine.dispatcher.attach(vec![(Arc::clone(&subscription), Arc::clone(&guest))]);
            tokio.block_on(spine.broker.subscribe(subscription, Arc::new(spine.dispatcher.clone())))?;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&Told { kibibytes: resident("self")?, seconds })?);
    Ok(())
}

fn handler(number: usize, digest: Digest) -> Result<Handler> {
    let tenant = Tenant::new(&format!("tenant-{}", number / EACH))?;
    let name = HandlerName::new(&format!("handler-{}", number % EACH))?;
    let pattern = Pattern::new(&format!("greetings.of-{}.sent", number % EACH))?;
    Ok(Handler {
        subscriptions: vec![Subscription::new(&tenant, &name, pattern)],
        tenant,
        name,
        version: Version::new("1")?,
        digest,
        reuse: std::num::NonZeroU32::MIN,
        limits: Limits::default(),
        grants: Grants::default(),
    })
}

/// What [`tell`] says in a process of its own.
fn ask(shape: &Shape) -> Result<Told> {
    let program = env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.arg(COMMAND).arg("--component").arg(&shape.component).arg("--cache").arg(&shape.cache);
    command.args(["--handlers", &shape.handlers.to_string(), "--components", &shape.components.to_string()]);
    let output = command.output().context("cannot start this program again")?;
    let talk = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{COMMAND}` failed: {talk}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{COMMAND}` said something else: {talk}"))
}
