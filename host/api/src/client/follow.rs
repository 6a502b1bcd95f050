//! Followed streams: server-sent events as typed items.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::transport::ClientError;
use crate::sse::{Decoder, Message};

/// What a followed stream gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<T> {
    /// One that came.
    Seen(T),
    /// So many did not: the reader was too slow, and the host does not wait for readers.
    Lost(u64),
}

/// How long a stream may be silent before its host is taken for gone. Three of the comments that a host sends each 15
/// seconds when there is nothing else.
const SILENCE: Duration = Duration::from_secs(45);

/// Reads an item out of a message; `None` for a message of another kind.
pub(super) type Read<T> = fn(&Message) -> Result<Option<Item<T>>, serde_json::Error>;

/// A stream that goes on until the host or the reader ends it.
#[derive(Debug)]
pub struct Followed<T> {
    body: Incoming,
    decoder: Decoder,
    /// What it is a stream of.
    what: &'static str,
    read: Read<T>,
    /// When bytes last came.
    heard: Instant,
    ended: bool,
}

impl<T> Followed<T> {
    pub(super) fn new(body: Incoming, what: &'static str, read: Read<T>) -> Self {
        Self { body, decoder: Decoder::default(), what, read, heard: Instant::now(), ended: false }
    }

    /// Waits for the next item; `None` once the host has ended the stream or an error was given. Cancelling loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Result<Item<T>, ClientError>> {
        loop {
            while let Some(message) = self.decoder.next_message() {
                // Kinds that a newer host may have are passed over.
                if let Some(item) = self.item(&message).transpose() {
                    self.ended |= item.is_err();
                    return Some(item);
                }
            }
            if self.ended {
                return None;
            }
            // From when something was last heard and not from now: who asks with a time limit of its own asks often.
            let frame = match tokio::time::timeout_at(self.heard + SILENCE, self.body.frame()).await {
                Ok(frame) => frame,
                Err(_) => {
                    self.ended = true;
                    return Some(Err(ClientError::TooSlow { what: self.what(), limit: SILENCE }));
                }
            };
            self.heard = Instant::now();
            let pushed = match frame {
                None => {
                    self.ended = true;
                    continue;
                }
                Some(Ok(frame)) => {
                    frame.data_ref().map_or(Ok(()), |bytes| self.decoder.push(bytes)).map_err(Into::into)
                }
                Some(Err(error)) => Err(error.into()),
            };
            if let Err(source) = pushed {
                self.ended = true;
                return Some(Err(ClientError::Broken { what: self.what(), source }));
            }
        }
    }

    fn item(&self, message: &Message) -> Result<Option<Item<T>>, ClientError> {
        (self.read)(message).map_err(|error| ClientError::Malformed {
            what: self.what(),
            found: format!("a message that does not fit ({error})"),
        })
    }

    fn what(&self) -> String {
        format!("the stream of {}", self.what)
    }
}
