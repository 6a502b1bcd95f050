//! One attempt to carry an event to a node: the post itself, and how it is remembered.

use std::time::Duration;

use bytes::Bytes;

use hostel_event::name::Version;
use hostel_event::outcome::{Attempt, Log, Outcome, Report, Usage};
use hostel_event::time::Timestamp;

use crate::http::client::{Answer, Client, Endpoint, PostError};

use super::Target;
use super::board::{Job, refusal};

/// Posts to the first of a node's addresses that is reached.
pub(super) async fn post(client: &Client, target: &Target, path: &str, body: Bytes) -> Result<Answer, PostError> {
    let mut last = PostError::Unreachable("it has no address".to_owned());
    for address in &target.addresses {
        let endpoint = Endpoint { address: address.clone(), secure: target.secure };
        match client.post(&endpoint, path, body.clone()).await {
            Err(PostError::Unreachable(error)) => last = PostError::Unreachable(format!("{address}: {error}")),
            Err(PostError::Unanswered(error)) => return Err(PostError::Unanswered(format!("{address}: {error}"))),
            Ok(answer) => return Ok(answer),
        }
    }
    Err(last)
}

/// What is remembered of an attempt that reached the node.
pub(super) fn attempt(job: &Job, began: Timestamp, wall: Duration, result: &Result<Answer, PostError>) -> Attempt {
    let outcome = match result {
        Ok(answer) if answer.status.is_success() => Outcome::Ack,
        Ok(answer) => Outcome::Retry {
            reason: format!("node `{}` {}", job.target.id, refusal(answer)),
            after: answer.retry_after,
        },
        Err(error) => Outcome::Retry { reason: format!("node `{}`: {error}", job.target.id), after: None },
    };
    let number = u32::try_from(job.parcel.delivery.history.len()).unwrap_or(u32::MAX).saturating_add(1);
    let report = Report { outcome, log: Log::default(), usage: Usage { wall, ..Usage::default() } };
    Attempt { number, began, version: version(&job.target.id), report }
}

/// What stands for a handler's version where a node was tried: the end of the node's id, as far as a version can hold it.
pub(super) fn version(node_id: &str) -> Version {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    // A go-micro node's id ends with the 36 characters of its UUID.
    let end: String = node_id.chars().rev().filter(allowed).take(36).collect();
    let end: String = end.chars().rev().collect();
    Version::new(&end).or_else(|_| Version::new("node")).unwrap_or_else(|_| unreachable!("`node` is a version"))
}
