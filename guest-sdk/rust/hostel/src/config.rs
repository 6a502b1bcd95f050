//! The handler's config: what its manifest says under `[config]`, and secrets.

use std::fmt;

use crate::host;

/// Why a config value could not be had. By `?` it becomes a retry: once the operator has set it, the event is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The key is not set.
    Missing {
        /// Which key.
        key: String,
    },
    /// The host could not tell.
    Failed {
        /// Which key.
        key: String,
        /// Why.
        reason: String,
    },
}

/// The config value of a key, or `None` if it is not set.
///
/// # Errors
/// [`ConfigError::Failed`] when the host could not tell.
pub fn config(key: &str) -> Result<Option<String>, ConfigError> {
    host::config(key).map_err(|reason| ConfigError::Failed { key: key.to_owned(), reason })
}

/// The config value of a key that must be set.
///
/// # Errors
/// [`ConfigError::Missing`] when it is not, [`ConfigError::Failed`] when the host could not tell.
pub fn require_config(key: &str) -> Result<String, ConfigError> {
    config(key)?.ok_or_else(|| ConfigError::Missing { key: key.to_owned() })
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key } => {
                write!(f, "config key `{key}` is not set; set it under `[config]` in the handler's manifest")
            }
            Self::Failed { key, reason } => write!(f, "cannot read config key `{key}`: {reason}"),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, testing};

    #[test]
    fn a_missing_key_is_a_retry_that_says_the_cure() {
        let handle = |_: Event<'_>| -> crate::Result {
            assert_eq!(config("rate")?, None);
            require_config("rate")?;
            Ok(())
        };
        assert_eq!(
            testing::run(handle, testing::Event::new("a")).result,
            Err(crate::retry("config key `rate` is not set; set it under `[config]` in the handler's manifest"))
        );
    }

    #[test]
    fn a_key_that_is_set_is_answered() {
        let handle = |_: Event<'_>| -> crate::Result {
            assert_eq!(require_config("rate")?, "1.5");
            Ok(())
        };
        testing::Host::new().config("rate", "1.5").run(handle, testing::Event::new("a")).result.unwrap();
    }

    #[test]
    fn without_a_host_config_says_so() {
        let error = config("rate").unwrap_err().to_string();
        assert!(error.starts_with("cannot read config key `rate`: there is no host"), "{error}");
    }
}
