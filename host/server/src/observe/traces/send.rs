//! The task that sends spans: in batches, with a few tries, and never for longer than a collector deserves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Counters, Span, otlp};
use crate::telemetry;

/// Spans in a batch at most. As the OpenTelemetry SDKs have it.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// How long a collector may take for one batch.
const LIMIT: Duration = Duration::from_secs(5);
/// How often a batch is tried, and how long it waits before each further try.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How long all that waits may take at the end.
const LAST: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read, for the sake of the connection.
const ANSWER: usize = 64 * 1024;

/// Where spans go.
pub(crate) struct Collector {
    url: Uri,
    /// What the host is called there.
    service: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl Collector {
    /// The collector at this address, such as `http://127.0.0.1:4318`.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub(crate) fn at(address: &str, service: &str) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(LIMIT));
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .build(connector);
        Ok(Self { url: url(address)?, service: service.to_owned(), http })
    }

    async fn send(&self, spans: &[Span]) -> Result<(), String> {
        let body = serde_json::to_vec(&otlp::request(&self.service, spans)).map_err(|error| error.to_string())?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let asked = async {
            let response = self.http.request(request).await.map_err(|error| crate::network::chain(&error))?;
            let status = response.status();
            // What it says is nobody's, and the connection can carry the next batch only when it was read.
            drop(Limited::new(response.into_body(), ANSWER).collect().await);
            if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
        };
        tokio::time::timeout(LIMIT, asked).await.unwrap_or_else(|_| Err(format!("no answer within {LIMIT:?}")))
    }
}

/// The address of the collector's own path for traces, unless another is given.
pub(crate) fn url(address: &str) -> Result<Uri, String> {
    let text = match address.strip_prefix("http://") {
        Some(rest) if !rest.trim_end_matches('/').contains('/') => {
            format!("http://{}/v1/traces", rest.trim_end_matches('/'))
        }
        Some(_) => address.to_owned(),
        None => return Err("it does not begin with `http://`; TLS is not spoken to collectors yet".to_owned()),
    };
    let url: Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
    match url.host() {
        Some(host) if !host.is_empty() => Ok(url),
        _ => Err("it names no host".to_owned()),
    }
}

/// Sends until it is stopped, and then what is left.
pub(super) async fn run(
    collector: Collector,
    mut waiting: mpsc::Receiver<Span>,
    counters: Arc<Counters>,
    stop: CancellationToken,
) {
    let mut tally = Tally { counters, told: 0 };
    let mut batch = Vec::with_capacity(BATCH);
    while gather(&mut waiting, &mut batch, &stop).await {
        let sent = stop.run_until_cancelled(deliver(&collector, &batch)).await;
        match sent {
            Some(sent) => tally.add(&mut batch, sent),
            // Sent once more below. A collector tells spans by their ids.
            None => break,
        }
    }
    waiting.close();
    let last = async {
        loop {
            if !batch.is_empty() {
                let sent = collector.send(&batch).await;
                tally.add(&mut batch, sent);
            }
            if waiting.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
        }
    };
    if tokio::time::timeout(LAST, last).await.is_err() {
        let left = batch.len() + waiting.len();
        tally.lost(number(left), "the host ended before the collector took them");
    }
}

/// Gathers a batch; `false` if there will be no more.
async fn gather(waiting: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>, stop: &CancellationToken) -> bool {
    let gathered = async {
        if waiting.recv_many(batch, BATCH).await == 0 {
            return false;
        }
        let more = async { while batch.len() < BATCH && waiting.recv_many(batch, BATCH - batch.len()).await > 0 {} };
        // What came in time is there, whether it is full or not.
        let _ = tokio::time::timeout(LINGER, more).await;
        true
    };
    stop.run_until_cancelled(gathered).await.unwrap_or(false)
}

async fn deliver(collector: &Collector, batch: &[Span]) -> Result<(), String> {
    let mut tries = 1;
    loop {
        match collector.send(batch).await {
            Err(_) if tries < TRIES => tokio::time::sleep(PAUSE * tries).await,
            sent => return sent,
        }
        tries += 1;
    }
}

/// What became of batches.
struct Tally {
    counters: Arc<Counters>,
    /// How many were lost when that was last said.
    told: u64,
}

impl Tally {
    fn add(&mut self, batch: &mut Vec<Span>, sent: Result<(), String>) {
        let count = number(batch.len());
        batch.clear();
        match sent {
            Ok(()) => drop(self.counters.exported.fetch_add(count, Ordering::Relaxed)),
            Err(error) => self.lost(count, &error),
        }
    }

    fn lost(&mut self, count: u64, error: &str) {
        let total = self.counters.failed.fetch_add(count, Ordering::Relaxed) + count;
        if self.told == 0 || total >= self.told.saturating_mul(2) {
            self.told = total;
            telemetry::spans_not_sent(total, error);
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_collector_is_checked_and_has_its_path() {
        let check = |address: &str, expected: Result<&str, &str>| {
            let found = url(address).map(|url| url.to_string());
            match expected {
                Ok(expected) => assert_eq!(found.as_deref(), Ok(expected)),
                Err(expected) => assert!(found.as_ref().unwrap_err().contains(expected), "{found:?}"),
            }
        };
        check("http://127.0.0.1:4318", Ok("http://127.0.0.1:4318/v1/traces"));
        check("http://collector:4318/", Ok("http://collector:4318/v1/traces"));
        check("http://collector/otlp/v1/traces", Ok("http://collector/otlp/v1/traces"));
        check("https://collector", Err("does not begin with `http://`"));
        check("collector:4318", Err("does not begin with `http://`"));
        check("http://", Err("it"));
        check("http://a b", Err("it is no URL"));
    }
}
