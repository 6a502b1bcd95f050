//! What a person probably meant: the known name nearest to a mistyped one, and serde's errors in our words.

/// The known name nearest to `given`, if one is near enough to be meant.
///
/// Near enough is a Damerau-Levenshtein distance of at most a third of the given length, and at least one: a slip of
/// the finger in a short word, a few in a long one. Case and the choice of `-` or `_` count for nothing.
#[must_use]
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let given = plain(given);
    let limit = (given.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given, &plain(name)), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// An unknown key as serde's message tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey<'a> {
    /// The key that was given.
    pub given: &'a str,
    /// The keys that would have been taken there.
    pub known: Vec<&'a str>,
}

impl<'a> UnknownKey<'a> {
    /// Reads ``unknown field `x`, expected …``, the message of every format that serde reads; `None` for any other.
    #[must_use]
    pub fn parse(message: &'a str) -> Option<Self> {
        let rest = message.strip_prefix("unknown field `")?;
        let (given, rest) = rest.split_once('`')?;
        // What lies between the odd and even backticks are the names.
        let known = rest.split('`').skip(1).step_by(2).collect();
        Some(Self { given, known })
    }

    /// What was probably meant: ``did you mean `memory`?``, or all that is known where nothing is near.
    #[must_use]
    pub fn advice(&self) -> String {
        if let Some(name) = nearest(self.given, self.known.iter().copied()) {
            return format!("did you mean `{name}`?");
        }
        match self.known.as_slice() {
            [] => "no keys are known there".to_owned(),
            [only] => format!("known is only `{only}`"),
            [first @ .., last] => format!("known are `{}` and `{last}`", first.join("`, `")),
        }
    }
}

/// Puts serde's message about an unknown key into our words, with the nearest known one; `None` for any other message.
///
/// `place` names the table that the key stands in, such as `limits`; empty for the top of the file.
#[must_use]
pub fn explain_unknown_key(message: &str, place: &str) -> Option<String> {
    let unknown = UnknownKey::parse(message)?;
    let key = unknown.given;
    let place = if place.is_empty() { String::new() } else { format!(" in `{place}`") };
    Some(format!("unknown key `{key}`{place}; {}", unknown.advice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_if_it_is_near() {
        let known = ["memory", "deadline", "log_lines", "log_bytes"];
        let check = |given: &str, expected: Option<&str>| assert_eq!(nearest(given, known), expected, "{given}");
        check("memry", Some("memory"));
        check("Memory", Some("memory"));
        check("log-lines", Some("log_lines"));
        check("log_byte", Some("log_bytes"));
        check("dealdine", Some("deadline"));
        check("timeout", None);
        check("", None);
    }

    #[test]
    fn each_of_serdes_messages_is_put_into_our_words() {
        let check = |message: &str, place: &str, expected: Option<&str>| {
            assert_eq!(explain_unknown_key(message, place).as_deref(), expected);
        };
        check(
            "unknown field `memry`, expected one of `memory`, `deadline`, `log_lines`",
            "limits",
            Some("unknown key `memry` in `limits`; did you mean `memory`?"),
        );
        check(
            "unknown field `colour`, expected one of `name`, `version`, `component`",
            "",
            Some("unknown key `colour`; known are `name`, `version` and `component`"),
        );
        check("unknown field `x`, expected `name`", "", Some("unknown key `x`; known is only `name`"));
        check("unknown field `nome`, expected `name` or `age`", "", Some("unknown key `nome`; did you mean `name`?"));
        check(
            "unknown field `x`, there are no fields",
            "a.b",
            Some("unknown key `x` in `a.b`; no keys are known there"),
        );
        check("missing field `name`", "", None);
    }
}
