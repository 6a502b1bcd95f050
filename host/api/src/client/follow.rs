//! Followed streams: server-sent events as typed items.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

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

/// Reads how many were lost out of a `lost` message.
type ReadLost = fn(&str) -> Result<u64, serde_json::Error>;

/// A stream that goes on until the host or the reader ends it.
#[derive(Debug)]
pub struct Followed<T> {
    body: Incoming,
    decoder: Decoder,
    /// The kind of the messages that carry items.
    kind: &'static str,
    read_lost: ReadLost,
    ended: bool,
    items: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Followed<T> {
    pub(super) fn new(body: Incoming, kind: &'static str, read_lost: ReadLost) -> Self {
        Self { body, decoder: Decoder::default(), kind, read_lost, ended: false, items: std::marker::PhantomData }
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
            match self.body.frame().await {
                None => self.ended = true,
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(ClientError::Broken { what: self.what(), source: error.into() }));
                }
                Some(Ok(frame)) => {
                    let pushed = frame.data_ref().map_or(Ok(()), |bytes| self.decoder.push(bytes));
                    if let Err(error) = pushed {
                        self.ended = true;
                        return Some(Err(ClientError::Broken { what: self.what(), source: error.into() }));
                    }
                }
            }
        }
    }

    fn item(&self, message: &Message) -> Result<Option<Item<T>>, ClientError> {
        let read = if message.event == self.kind {
            serde_json::from_str(&message.data).map(|item| Some(Item::Seen(item)))
        } else if message.event == "lost" {
            (self.read_lost)(&message.data).map(|count| Some(Item::Lost(count)))
        } else {
            Ok(None)
        };
        read.map_err(|error| ClientError::Malformed {
            what: self.what(),
            found: format!("a message that does not fit ({error})"),
        })
    }

    fn what(&self) -> String {
        format!("the stream of {}s", self.kind)
    }
}
