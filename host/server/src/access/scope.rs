//! Scopes: what a token may do, as words.

use std::fmt;
use std::str::FromStr;

use hostel_api::route::Right;
use hostel_event::pattern::{Pattern, PatternError};

use super::cover::covers;

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Publish on the topics that the pattern hears.
    Publish(Pattern),
    /// Follow them.
    Subscribe(Pattern),
    /// Look at what is deployed and what becomes of events.
    Read,
    /// Change what is deployed. Who may do that reads whatever he likes by a handler of his own, so it includes `read`.
    Deploy,
    /// Everything in the tenant.
    Admin,
    /// Everything on the host.
    Operator,
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScopeError {
    /// None of the words.
    #[error(
        "`{0}` is no scope; write `publish:<pattern>`, `subscribe:<pattern>`, `read`, `deploy`, `admin` or `operator`"
    )]
    Word(String),
    /// A word that takes a pattern, with none or a bad one.
    #[error("scope `{0}`: {1}")]
    Pattern(String, PatternError),
}

impl Scope {
    /// Whether it is enough for a right, on these topics where it is a matter of topics.
    pub(crate) fn allows(&self, right: Right, topics: Option<&Pattern>) -> bool {
        // A malformed topic is refused further on, with a sentence that says what is wrong with it.
        let within = |pattern: &Pattern| topics.is_none_or(|topics| covers(pattern, topics));
        match (self, right) {
            (_, Right::Open) | (Self::Operator, _) => true,
            (Self::Admin, right) => right != Right::Operator,
            (Self::Deploy, Right::Deploy | Right::Read) | (Self::Read, Right::Read) => true,
            (Self::Publish(pattern), Right::Publish) | (Self::Subscribe(pattern), Right::Subscribe) => within(pattern),
            (Self::Publish(pattern), Right::Peer) => pattern.as_str() == ">",
            _ => false,
        }
    }

    /// The least scope that is enough for a right, as it is told to who lacks it.
    pub(crate) fn needed(right: Right, topics: Option<&Pattern>) -> String {
        let on = || topics.map_or(">", Pattern::as_str);
        match right {
            Right::Open => String::new(),
            Right::Publish => format!("publish:{}", on()),
            Right::Peer => "publish:>".to_owned(),
            Right::Subscribe => format!("subscribe:{}", on()),
            Right::Read => "read".to_owned(),
            Right::Deploy => "deploy".to_owned(),
            Right::Admin => "admin".to_owned(),
            Right::Operator => "operator".to_owned(),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let pattern = |rest: &str| Pattern::new(rest).map_err(|error| ScopeError::Pattern(text.to_owned(), error));
        match text.split_once(':') {
            Some(("publish", rest)) => pattern(rest).map(Self::Publish),
            Some(("subscribe", rest)) => pattern(rest).map(Self::Subscribe),
            Some(_) => Err(ScopeError::Word(text.to_owned())),
            None => match text {
                "read" => Ok(Self::Read),
                "deploy" => Ok(Self::Deploy),
                "admin" => Ok(Self::Admin),
                "operator" => Ok(Self::Operator),
                "publish" => pattern("").map(Self::Publish),
                "subscribe" => pattern("").map(Self::Subscribe),
                _ => Err(ScopeError::Word(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(pattern) => write!(f, "publish:{pattern}"),
            Self::Subscribe(pattern) => write!(f, "subscribe:{pattern}"),
            Self::Read => f.write_str("read"),
            Self::Deploy => f.write_str("deploy"),
            Self::Admin => f.write_str("admin"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_what_it_writes() {
        for text in ["publish:orders.>", "subscribe:*", "read", "deploy", "admin", "operator"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Scope>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check("write", "`write` is no scope; write `publish:<pattern>`");
        check("read:orders", "`read:orders` is no scope");
        check("", "`` is no scope");
        check("publish", "scope `publish`: pattern is empty");
        check("publish:a..b", "scope `publish:a..b`: pattern `a..b` has an empty token");
    }

    /// One table: each scope against each right.
    #[test]
    fn a_scope_allows_what_the_table_says() {
        use Right::{Admin, Deploy, Open, Operator, Peer, Publish, Read, Subscribe};
        let rights = [Open, Publish, Peer, Subscribe, Read, Deploy, Admin, Operator];
        let orders = Pattern::new("orders.created").unwrap();
        let check = |scope: &str, expected: [u8; 8]| {
            let scope: Scope = scope.parse().unwrap();
            let allowed = rights.map(|right| u8::from(scope.allows(right, Some(&orders))));
            assert_eq!(allowed, expected, "{scope}");
        };
        check("publish:orders.*", [1, 1, 0, 0, 0, 0, 0, 0]);
        check("publish:>", [1, 1, 1, 0, 0, 0, 0, 0]);
        check("publish:orders.paid", [1, 0, 0, 0, 0, 0, 0, 0]);
        check("subscribe:orders.*", [1, 0, 0, 1, 0, 0, 0, 0]);
        check("subscribe:orders.paid", [1, 0, 0, 0, 0, 0, 0, 0]);
        check("read", [1, 0, 0, 0, 1, 0, 0, 0]);
        check("deploy", [1, 0, 0, 0, 1, 1, 0, 0]);
        check("admin", [1, 1, 1, 1, 1, 1, 1, 0]);
        check("operator", [1, 1, 1, 1, 1, 1, 1, 1]);
    }
}
