//! `wasi:config/store`: what the handler's manifest sets, and by name the secrets of its tenant that it names.
//!
//! A secret is asked for anew each time, so that a guest has the newest value even in an instance that lives long. One
//! that is asked for all gives no secrets: who asks for all most often prints it.

use crate::bindings::wasi::config::store::{Error, Host};
use crate::state::State;

impl Host for State {
    fn get(&mut self, key: String) -> Result<Option<String>, Error> {
        if self.grants().secrets.contains(&key) {
            let value = self.provision.secret(&self.handler.tenant, &key);
            return Ok(value.map(|value| value.as_ref().to_owned()));
        }
        Ok(self.grants().config.get(&key).cloned())
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.grants().config.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
