//! `wasi:keyvalue/store` and `atomics`: buckets of the handler's own tenant that its manifest names.
//!
//! Which revision a write expects, when it takes effect and how large it may be is decided behind the port.

use std::sync::Arc;

use bytes::Bytes;
use hostel_event::key_value::{Bucket, Entry, Expected, Key, Write};
use hostel_event::name::BucketName;
use hostel_event::outcome::Level;
use hostel_event::port::{KeyValue, KeyValueError};
use wasmtime::component::Resource;

use crate::bindings::wasi::keyvalue::atomics;
use crate::bindings::wasi::keyvalue::store::{Error, Host, HostBucket, KeyResponse};
use crate::state::State;

/// Keys in one answer of `list-keys`. Arbitrary: with the longest keys it is 1 MiB.
const PAGE: usize = 1000;
/// Answers of `list-keys` to which a guest can come back, for each bucket that it opened: 1,000,000 keys.
const PAGES: usize = 1000;
/// How often an increment reads anew because another was faster. Only where writes take effect at once; each time one
/// of those who write the same key got on, so this many in a row means that something else is wrong.
const INCREMENT_TRIES: usize = 1000;

/// A bucket that a guest opened.
#[expect(unreachable_pub, reason = "the generated bindings re-export it under their own name")]
pub struct Opened {
    bucket: Bucket,
    /// The last key of each page that was listed and has another behind it. A cursor is a place in here, counted from 1.
    pages: Vec<Key>,
}

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl State {
    /// Checks which bucket the guest wants, and whether it may.
    fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        let name = BucketName::new(name).map_err(|error| Error::Other(error.to_string()))?;
        if !self.grants().key_value.contains(&name) {
            // The contract's answer has no place for a reason, so that it stands in the log.
            let handler = &self.handler.name;
            let text = format!(
                "handler `{handler}` may not open bucket `{name}`; add `keyvalue = [\"{name}\"]` to handler.toml"
            );
            self.log.lock().note(Level::Warn, &text);
            self.meter.traffic.deny();
            return Err(Error::AccessDenied);
        }
        if self.call.is_none() {
            return Err(Error::Other("there are no buckets in `lifecycle.init`; use `subscriber.handle`".to_owned()));
        }
        Ok(Bucket { tenant: self.handler.tenant.clone(), name })
    }

    /// The store and one key of an opened bucket; an error of the guest's if it is no key.
    fn place(&self, opened: &Resource<Opened>, key: &str) -> Answer<Place> {
        let bucket = self.table.get(opened)?.bucket.clone();
        let key = match Key::new(key) {
            Ok(key) => key,
            Err(error) => return Ok(Err(Error::Other(error.to_string()))),
        };
        Ok(Ok(Place { store: self.store()?, bucket, key }))
    }

    /// A guest gets a bucket only together with a store, so that its lack is a trap.
    fn store(&self) -> wasmtime::Result<Arc<dyn KeyValue>> {
        let call = self.call.as_ref().ok_or_else(|| wasmtime::Error::msg("there is no store outside of an event"))?;
        Ok(Arc::clone(&call.key_value))
    }
}

/// A key, where it is kept.
struct Place {
    store: Arc<dyn KeyValue>,
    bucket: Bucket,
    key: Key,
}

impl Place {
    async fn get(&self) -> Result<Option<Entry>, Error> {
        self.store.get(&self.bucket, &self.key).await.map_err(refusal)
    }

    async fn write(&self, value: Option<Bytes>, expected: Expected) -> Result<(), KeyValueError> {
        let write = Write { bucket: self.bucket.clone(), key: self.key.clone(), value, expected };
        self.store.write(vec![write]).await
    }

    async fn increment(&self, delta: u64) -> Result<u64, Error> {
        for _ in 0..INCREMENT_TRIES {
            let found = self.get().await?;
            let expected = found.as_ref().map_or(Expected::Absent, |entry| Expected::Revision(entry.revision));
            let sum = self.number(found.as_ref())?.checked_add(delta).ok_or_else(|| {
                Error::Other(format!("the value of key `{}` would be larger than {}", self.key, u64::MAX))
            })?;
            match self.write(Some(sum.to_string().into()), expected).await {
                Ok(()) => return Ok(sum),
                Err(KeyValueError::Conflict(_)) => {}
                Err(error) => return Err(refusal(error)),
            }
        }
        Err(refusal(KeyValueError::Conflict(self.key.clone())))
    }

    /// The number that a value stands for; 0 if there is none.
    fn number(&self, found: Option<&Entry>) -> Result<u64, Error> {
        let Some(entry) = found else { return Ok(0) };
        std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            Error::Other(format!(
                "the value of key `{}` is not a number in decimal digits up to {}",
                self.key,
                u64::MAX
            ))
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is used as a function of what `map_err` gives")]
fn refusal(error: KeyValueError) -> Error {
    Error::Other(error.to_string())
}

impl Host for State {
    fn open(&mut self, name: String) -> Answer<Resource<Opened>> {
        match self.bucket(&name) {
            Ok(bucket) => Ok(Ok(self.table.push(Opened { bucket, pages: Vec::new() })?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl HostBucket for State {
    async fn get(&mut self, opened: Resource<Opened>, key: String) -> Answer<Option<Vec<u8>>> {
        let place = match self.place(&opened, &key)? {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        let found = place.get().await.map(|entry| entry.map(|entry| entry.value.to_vec()));
        self.meter.traffic.got(found.as_ref().ok().and_then(Option::as_ref).map_or(0, Vec::len));
        Ok(found)
    }

    async fn set(&mut self, opened: Resource<Opened>, key: String, value: Vec<u8>) -> Answer<()> {
        let place = match self.place(&opened, &key)? {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        self.meter.traffic.gave(value.len());
        Ok(place.write(Some(value.into()), Expected::Anything).await.map_err(refusal))
    }

    async fn delete(&mut self, opened: Resource<Opened>, key: String) -> Answer<()> {
        let place = match self.place(&opened, &key)? {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        Ok(place.write(None, Expected::Anything).await.map_err(refusal))
    }

    async fn exists(&mut self, opened: Resource<Opened>, key: String) -> Answer<bool> {
        let place = match self.place(&opened, &key)? {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        Ok(place.get().await.map(|entry| entry.is_some()))
    }

    async fn list_keys(&mut self, opened: Resource<Opened>, cursor: Option<u64>) -> Answer<KeyResponse> {
        let store = self.store()?;
        let opened = self.table.get_mut(&opened)?;
        let after = match cursor {
            None => None,
            Some(cursor) => {
                let at = cursor.checked_sub(1).and_then(|at| usize::try_from(at).ok());
                match at.and_then(|at| opened.pages.get(at)) {
                    Some(key) => Some(key.clone()),
                    None => {
                        let text =
                            format!("cursor {cursor} was not given by this bucket; a cursor ends with its event");
                        return Ok(Err(Error::Other(text)));
                    }
                }
            }
        };
        // One more than is told, to know whether there is more.
        let mut keys = match store.keys(&opened.bucket, after.as_ref(), PAGE + 1).await {
            Ok(keys) => keys,
            Err(error) => return Ok(Err(refusal(error))),
        };
        let is_more = keys.len() > PAGE;
        keys.truncate(PAGE);
        let mut next = None;
        if let (true, Some(last)) = (is_more, keys.last()) {
            if opened.pages.len() == PAGES {
                return Ok(Err(Error::Other(format!("a bucket's keys can be listed {PAGES} pages far for one event"))));
            }
            opened.pages.push(last.clone());
            next = u64::try_from(opened.pages.len()).ok();
        }
        let keys = keys.into_iter().map(|key| key.as_str().to_owned()).collect();
        Ok(Ok(KeyResponse { keys, cursor: next }))
    }

    fn drop(&mut self, opened: Resource<Opened>) -> wasmtime::Result<()> {
        self.table.delete(opened)?;
        Ok(())
    }
}

impl atomics::Host for State {
    async fn increment(&mut self, opened: Resource<Opened>, key: String, delta: u64) -> Answer<u64> {
        let place = match self.place(&opened, &key)? {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        Ok(place.increment(delta).await)
    }
}
