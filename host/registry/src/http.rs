//! The registry that another host offers over its admin API: `docs/wire/registry.md` shows the requests.
//!
//! What is registered is kept there, and is forgotten there when its TTL is over. A watch is one followed stream. When
//! it breaks it is begun again, and the watcher is told that it lost a change: when the stream breaks and whenever it
//! cannot be begun again, so that it does not believe in what it knows, and when it is back, so that it reads anew. How
//! many were lost meanwhile nobody knows. The number may therefore grow while no change comes; a watcher looks at it now
//! and then.

use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::time::Instant;

use hostel_api::client::{Client, ClientError, Followed, Item, Target, Tls};
use hostel_api::problem::{Code, Problem};
use hostel_api::registry::ServiceChangeView;
use hostel_event::port::{Change, Registry, RegistryError, Service, Watch};

use crate::{shape, telemetry, view};

/// How long to wait before a broken watch is begun again: doubles from the first to the second. Arbitrary: soon enough
/// that a restart is hardly noticed, and no storm while the host stays away.
const WATCH_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The registry of another host. Has no task and holds nothing but connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
}

/// What the host of a registry is to know of this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// A token to be let in with.
    pub token: Option<String>,
    /// Whom to believe, and what to show, where the address says `https`.
    pub tls: Tls,
}

/// The address is none that a host can be asked at, or not with what is to be shown there.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{address}` as the address of a registry")]
pub struct AddressError {
    /// What was given.
    pub address: String,
    /// What is wrong with it.
    #[source]
    pub source: ClientError,
}

impl Http {
    /// The registry of the host whose admin API is at `address`: `http://host:port`, or `host:port` as go-micro has it.
    /// Connects only when something is asked.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(address: &str) -> Result<Self, AddressError> {
        Self::with(address, &Security::default())
    }

    /// The same of a host that asks who its clients are.
    ///
    /// # Errors
    /// [`AddressError`], also for files that cannot be used.
    pub fn with(address: &str, security: &Security) -> Result<Self, AddressError> {
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        // A registry is nobody's in particular, and the ingress is not asked.
        let target = Target { admin: url.clone(), ingress: url, tenant: String::new() };
        let client = Client::over(&target, &security.tls).and_then(|client| match &security.token {
            Some(token) => client.with_token(token),
            None => Ok(client),
        });
        let client = client.map_err(|source| AddressError { address: address.to_owned(), source })?;
        Ok(Self { client })
    }
}

impl Registry for Http {
    fn register(&self, service: Service, ttl: Duration) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            shape::check(&service, ttl)?;
            let name = service.name.clone();
            self.client.register(&view::write(service), ttl).await.map_err(|error| failed(&name, &error))
        })
    }

    fn deregister(&self, service: Service) -> BoxFuture<'_, Result<(), RegistryError>> {
        Box::pin(async move {
            let name = service.name.clone();
            self.client.deregister(&view::write(service)).await.map_err(|error| failed(&name, &error))
        })
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        let name = name.to_owned();
        Box::pin(async move {
            // Its path would be that of the list.
            if name.is_empty() {
                return Err(RegistryError::NotFound(name));
            }
            let versions = self.client.service(&name).await.map_err(|error| failed(&name, &error))?;
            if let Some(stale) = &versions.stale {
                telemetry::stale_elsewhere(&name, &stale.asked_at, &stale.reason);
            }
            Ok(versions.items.into_iter().map(view::read).collect())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Service>, RegistryError>> {
        Box::pin(async {
            let services = self.client.services().await.map_err(|error| unreachable(&error))?;
            Ok(services.into_iter().map(view::read).collect())
        })
    }

    fn watch(&self, name: Option<&str>) -> BoxFuture<'_, Result<Box<dyn Watch>, RegistryError>> {
        let name = name.map(str::to_owned);
        Box::pin(async move {
            let stream = self.client.watch_services(name.as_deref()).await.map_err(|error| unreachable(&error))?;
            let client = self.client.clone();
            let watch: Box<dyn Watch> =
                Box::new(Following { client, name, line: Line::open(stream, WATCH_AGAIN.0), lost: 0 });
            Ok(watch)
        })
    }
}

/// A watch. Nothing runs between two calls of `next`: what comes meanwhile waits at the other host, which counts what
/// it has no room for.
struct Following {
    client: Client,
    /// The only service wanted, or all.
    name: Option<String>,
    line: Line,
    lost: u64,
}

enum Line {
    /// Since when, and how long to wait should it break.
    Open { stream: Box<Followed<ServiceChangeView>>, since: Instant, wait: Duration },
    /// The stream broke. It is begun again at `at`, and if that fails after `wait`.
    Broken { at: Instant, wait: Duration },
}

impl Line {
    fn open(stream: Followed<ServiceChangeView>, wait: Duration) -> Self {
        Self::Open { stream: Box::new(stream), since: Instant::now(), wait }
    }
}

impl Following {
    /// The next change, if there is one before something else happens to the line. Cancelling loses nothing.
    async fn step(&mut self) -> Option<Change> {
        match &mut self.line {
            Line::Open { stream, .. } => match stream.next().await {
                Some(Ok(Item::Seen(change))) => return Some(view::read_change(change)),
                Some(Ok(Item::Lost(count))) => self.lost = self.lost.saturating_add(count),
                Some(Err(error)) => self.broken(&error.with_cause()),
                None => self.broken("the host ended it"),
            },
            Line::Broken { at, wait } => {
                tokio::time::sleep_until(*at).await;
                // Before the attempt, which may be cancelled: the next one then waits its turn all the same.
                let again = *wait;
                *at = Instant::now() + again;
                *wait = (again * 2).min(WATCH_AGAIN.1);
                let begun = self.client.watch_services(self.name.as_deref()).await;
                self.lost = self.lost.saturating_add(1);
                if let Ok(stream) = begun {
                    telemetry::watch_back();
                    self.line = Line::open(stream, again);
                }
            }
        }
        None
    }

    fn broken(&mut self, reason: &str) {
        telemetry::watch_broke(reason);
        self.lost = self.lost.saturating_add(1);
        let now = Instant::now();
        // One that did not last is no better than none.
        let wait = match self.line {
            Line::Open { since, wait, .. } if since.elapsed() < WATCH_AGAIN.1 => wait,
            _ => WATCH_AGAIN.0,
        };
        self.line = Line::Broken { at: now + wait, wait: (wait * 2).min(WATCH_AGAIN.1) };
    }
}

impl Watch for Following {
    fn next(&mut self) -> BoxFuture<'_, Option<Change>> {
        Box::pin(async {
            loop {
                if let Some(change) = self.step().await {
                    return Some(change);
                }
            }
        })
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// What the port calls a failure in what was asked for one service. What the host says of the service is its answer;
/// whatever else it says, it was of no use as a registry.
fn failed(service: &str, error: &ClientError) -> RegistryError {
    let ClientError::Problem { problem, .. } = error else { return unreachable(error) };
    let service = service.to_owned();
    match problem.code.parse() {
        Ok(Code::NotFound) => RegistryError::NotFound(service),
        // Too large, with a TTL that is out of bounds, or not to be taken for a reason of its own.
        Ok(Code::ServiceRefused | Code::BodyTooLarge | Code::MalformedDocument | Code::MalformedQuery) => {
            let reason = bare(problem, &format!("cannot register service `{service}`: "));
            RegistryError::Refused { service, reason }
        }
        _ => unreachable(error),
    }
}

fn unreachable(error: &ClientError) -> RegistryError {
    RegistryError::Unreachable(match error {
        ClientError::Problem { problem, .. } => bare(problem, "cannot reach the registry: "),
        other => other.with_cause(),
    })
}

/// What a host of this version says is an error of the port, whose first words are put before it again here.
fn bare(problem: &Problem, prefix: &str) -> String {
    problem.detail.strip_prefix(prefix).unwrap_or(&problem.detail).to_owned()
}

#[cfg(test)]
mod tests;
