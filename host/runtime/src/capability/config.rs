//! `wasi:config/store`: what the handler's manifest and the operator configured, secrets included.

use crate::bindings::wasi::config::store::{Error, Host};
use crate::state::State;

impl Host for State {
    fn get(&mut self, key: String) -> Result<Option<String>, Error> {
        Ok(self.grants().config.get(&key).cloned())
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.grants().config.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
