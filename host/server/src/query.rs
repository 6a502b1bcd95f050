//! The parameters of a query, taken strictly.

use axum::extract::{FromRequestParts, Query};
use http::Uri;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use hostel_api::problem::Code;
use hostel_api::suggest;

use crate::answer::Failure;

/// Reads the parameters of a query; one that is unknown is refused with the nearest that is known.
pub(crate) fn parameters<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    read(uri).map_err(|text| Failure::new(Code::MalformedQuery, text))
}

fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, String> {
    Query::try_from_uri(uri).map(|Query(parameters)| parameters).map_err(|rejection| {
        let error = rejection.body_text();
        // The extractor puts words of its own before serde's.
        told(error.rsplit_once("query string: ").map_or(error.as_str(), |(_, cause)| cause))
    })
}

/// No parameters at all, for what takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl<S: Sync> FromRequestParts<S> for Nothing {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parameters(&parts.uri)
    }
}

/// Serde's message, which may begin with the parameter's name, in our words.
fn told(error: &str) -> String {
    let (name, cause) = match error.split_once(": ") {
        Some((name, cause)) if !name.contains([' ', '`']) => (Some(name), cause),
        _ => (None, error),
    };
    if let Some(unknown) = suggest::UnknownKey::parse(cause) {
        let advice = if unknown.known.is_empty() { "none is taken here".to_owned() } else { unknown.advice() };
        return format!("unknown parameter `{}`; {advice}", unknown.given);
    }
    if let Some(twice) = cause.strip_prefix("duplicate field ") {
        return format!("parameter {twice} stands there twice");
    }
    // The words of std for numbers, which tell how they are read instead of what to write.
    let cause = match cause {
        "invalid digit found in string" | "cannot parse integer from empty string" => "not a whole number",
        "number too large to fit in target type" => "the number is too large",
        cause => cause,
    };
    match name {
        Some(name) => format!("parameter `{name}`: {cause}"),
        None => cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        #[expect(dead_code, reason = "only read")]
        limit: Option<usize>,
        #[expect(dead_code, reason = "only read")]
        before: Option<String>,
        #[serde(default)]
        #[expect(dead_code, reason = "only read")]
        follow: bool,
    }

    fn refused<T: DeserializeOwned + std::fmt::Debug>(query: &str) -> String {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        read::<T>(&uri).unwrap_err()
    }

    #[test]
    fn a_refusal_names_the_parameter() {
        let check = |query: &str, expected: &str| assert_eq!(refused::<Parameters>(query), expected);
        check("limt=1", "unknown parameter `limt`; did you mean `limit`?");
        check("colour=1", "unknown parameter `colour`; known are `limit`, `before` and `follow`");
        check("limit=x", "parameter `limit`: not a whole number");
        check("limit=", "parameter `limit`: not a whole number");
        check("limit=99999999999999999999", "parameter `limit`: the number is too large");
        check("limit=1&limit=2", "parameter `limit` stands there twice");
        check("follow=maybe", "parameter `follow`: provided string was not `true` or `false`");
        assert_eq!(refused::<Nothing>("x=1"), "unknown parameter `x`; none is taken here");
    }
}
