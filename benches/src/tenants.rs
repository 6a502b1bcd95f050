//! Row group: one host with ten handlers for each of a thousand tenants, of ten components: the binary `hostel` with its
//! durable broker, which finds all of them again at each start. How long such a start takes, when nothing is compiled and
//! when the code is in the cache; what memory an idle handler takes; and what an event costs among so many.
//!
//! The limit is the same host with ten handlers of one tenant, of the same ten components. Handlers are deployed over the
//! admin API, each with the token of its tenant, before the clock starts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use hostel_api::manifest::Manifest;

use crate::host::{Home, Host};
use crate::load::{Load, Wanted};
use crate::over_http::MANY;
use crate::report::Row;
use crate::round::{self, Contender, Group, Unit};
use crate::scale::Scale;
use crate::work;

/// Handlers of a tenant, and components that all tenants share.
const EACH: usize = 10;
/// Tenants that are made ready at once.
const ABREAST: usize = 8;
/// A start compiles for seconds: fewer rounds than elsewhere tell as much.
const ROUNDS: usize = 5;
const CONFIG: &str = "[access]\nrequire = 'token'\n";

/// Measures the group.
pub(crate) fn measure(program: &Path, component: &Path, scale: &Scale) -> Result<Group> {
    let handlers = scale.tenants * EACH;
    let of = |count: usize| match count / EACH {
        1 => format!("a host with {count} handlers of a tenant"),
        tenants => format!("a host with {count} handlers of {tenants} tenants"),
    };
    let cold = |count| format!("{} ready, nothing compiled", of(count));
    let cached = |count| format!("{} ready, code from the cache", of(count));
    let event = |count| format!("HTTP publish with `?wait=settled` to {}, {MANY} connections", of(count));
    let memory = format!("memory of an idle handler in {}", of(handlers));
    let base = format!("resident memory of {}, shared out to as many as {handlers}", of(EACH));
    let row = |subject: String, limit: String| Row { subject, limit };
    let rows = vec![
        row(cold(handlers), cold(EACH)),
        row(cached(handlers), cached(EACH)),
        row(memory.clone(), base.clone()),
        row(event(handlers), event(EACH)),
    ];
    if !rows.iter().any(|row| scale.wants(&row.subject)) {
        return Ok(Group::default());
    }
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bytes = std::fs::read(component).with_context(|| format!("cannot read `{}`", component.display()))?;
    let components: Vec<Bytes> = (1..=EACH).map(|mark| work::marked(&bytes, mark).into()).collect();
    let set = |tenants| Site::set(&tokio, program, tenants, &components);
    let (few, many) = (set(1)?, set(scale.tenants)?);
    let mut contenders = Vec::new();
    for (site, count) in [(&few, EACH), (&many, handlers)] {
        contenders.push(Contender::of(&cold(count), Unit::Microseconds, count, |_| site.cold()));
        contenders.push(Contender::of(&cached(count), Unit::Microseconds, count, |_| site.cached()));
        contenders.push(Contender::new(&event(count), scale.many / 2, |events| site.publish(&tokio, events)));
    }
    let (few, many) = (&few, &many);
    contenders.push(Contender::of(&base, Unit::Kibibytes, handlers, |n| each(few.resident()?, n)));
    contenders.push(Contender::of(&memory, Unit::Kibibytes, handlers - EACH, |n| {
        each(many.resident()?.saturating_sub(few.resident()?), n)
    }));
    let scale = Scale { rounds: scale.rounds.min(ROUNDS), ..scale.clone() };
    Ok(round::measure(&scale, contenders, rows))
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
fn each(kibibytes: u64, handlers: usize) -> Result<f64> {
    ensure!(handlers > 0, "no handlers");
    Ok(kibibytes as f64 / handlers as f64)
}

/// A host's data, with what is deployed in it. The host itself runs only while something of it is measured.
struct Site {
    home: Arc<Home>,
    /// Of each tenant, in order.
    tokens: Vec<String>,
}

impl Site {
    /// Deploys all handlers of so many tenants.
    fn set(tokio: &Runtime, program: &Path, tenants: usize, components: &[Bytes]) -> Result<Self> {
        let home = Home::new(program, CONFIG)?;
        let host = Arc::new(home.start()?);
        let tokens = tokio.block_on(settle(&host, tenants, components))?;
        Arc::into_inner(host).context("somebody still uses the host")?.stop()?;
        Ok(Self { home, tokens })
    }

    /// How long a start takes that has to compile, in microseconds.
    fn cold(&self) -> Result<f64> {
        let cache = self.home.data().join("cache");
        std::fs::remove_dir_all(&cache).with_context(|| format!("cannot remove `{}`", cache.display()))?;
        self.cached()
    }

    /// How long a start takes, in microseconds.
    fn cached(&self) -> Result<f64> {
        let host = self.home.start()?;
        let took = host.took;
        host.stop()?;
        Ok(took.as_secs_f64() * 1e6)
    }

    fn resident(&self) -> Result<u64> {
        let host = self.home.start()?;
        let resident = host.resident()?;
        host.stop()?;
        Ok(resident)
    }

    /// So many events, to all handlers in turn, until the last is settled.
    fn publish(&self, tokio: &Runtime, events: usize) -> Result<Duration> {
        let host = self.home.start()?;
        let mut wanted = Vec::with_capacity(self.tokens.len() * EACH);
        for token in &self.tokens {
            for handler in 0..EACH {
                // Whose topic it is, the token says.
                let target = format!("/topics/{}?wait=settled", topic(handler));
                wanted.push(Wanted { target, token: Some(token) });
            }
        }
        let load = Load::of(host.ingress, &wanted, (work::body(), StatusCode::OK))?;
        let took = tokio.block_on(async {
            // The sandboxes of a host that was just started are made by its first events.
            load.run(MANY, events / 4 + 1).await?;
            anyhow::Ok(load.run(MANY, events).await?.elapsed())
        })?;
        host.stop()?;
        Ok(took)
    }
}

fn topic(handler: usize) -> String {
    format!("greetings.of-{handler}.sent")
}

/// Makes the tenants, some at once, and deploys their handlers. Gives the token of each, in order.
async fn settle(host: &Arc<Host>, tenants: usize, components: &[Bytes]) -> Result<Vec<String>> {
    let abreast = Arc::new(Semaphore::new(ABREAST));
    let mut tasks = JoinSet::new();
    for number in 0..tenants {
        let permit = Arc::clone(&abreast).acquire_owned().await?;
        let (host, components) = (Arc::clone(host), components.to_vec());
        tasks.spawn(async move {
            let token = move_in(&host, number, &components).await;
            drop(permit);
            token.map(|token| (number, token))
        });
    }
    let mut tokens = vec![String::new(); tenants];
    while let Some(ended) = tasks.join_next().await {
        let (number, token) = ended??;
        if let Some(place) = tokens.get_mut(number) {
            *place = token;
        }
    }
    Ok(tokens)
}

/// Makes one tenant with its handlers; gives its token.
async fn move_in(host: &Host, number: usize, components: &[Bytes]) -> Result<String> {
    let newcomer = host.newcomer(&format!("tenant-{number:04}"), "").await?;
    for (handler, component) in components.iter().enumerate() {
        let digest = format!("sha256:{}", hostel_runtime::digest(component));
        newcomer.client.put_component(&digest, component.clone()).await?;
        let manifest: Manifest = serde_json::from_value(json!({
            "name": format!("handler-{handler}"),
            "version": "1",
            "component": digest,
            "subscriptions": [{ "pattern": topic(handler) }],
        }))?;
        newcomer.client.deploy(&manifest).await?;
    }
    Ok(newcomer.token)
}
