//! Media types (RFC 2045, section 5.1, as HTTP writes them), as far as CloudEvents ask for them.

/// A media type and its parameters, well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a> {
    essence: &'a str,
    parameters: &'a str,
}

impl<'a> MediaType<'a> {
    /// Reads `type/subtype` and the parameters after it; `None` if it is something else.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (essence, parameters) = match text.split_once(';') {
            None => (text, ""),
            Some((essence, parameters)) => (essence, parameters),
        };
        let essence = essence.trim_matches(BLANK);
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let media_type = Self { essence, parameters };
        let mut rest = parameters;
        while let Some(((_, _), after)) = next_parameter(rest)? {
            rest = after;
        }
        Some(media_type)
    }

    /// Whether it is this one, whatever its case and its parameters.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// Whether it declares JSON: `*/json` or `*/*+json`.
    #[must_use]
    pub fn is_json(&self) -> bool {
        let subtype = self.essence.split_once('/').map_or("", |(_, subtype)| subtype).to_ascii_lowercase();
        subtype == "json" || subtype.ends_with("+json")
    }

    /// Whether it declares text: `text/*`, XML, or any with a `charset`.
    #[must_use]
    pub fn is_text(&self) -> bool {
        let essence = self.essence.to_ascii_lowercase();
        essence.starts_with("text/")
            || essence.ends_with("/xml")
            || essence.ends_with("+xml")
            || self.charset().is_some()
    }

    /// The value of the parameter `charset`, in lower case.
    #[must_use]
    pub fn charset(&self) -> Option<String> {
        let mut rest = self.parameters;
        while let Some(Some(((name, value), after))) = next_parameter(rest) {
            if name.eq_ignore_ascii_case("charset") {
                return Some(unquoted(value).to_ascii_lowercase());
            }
            rest = after;
        }
        None
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// A parameter's name and value, and what stands after it.
type Parameter<'a> = ((&'a str, &'a str), &'a str);

/// The next parameter; `None` if what stands there is none, `Some(None)` at the end.
fn next_parameter(text: &str) -> Option<Option<Parameter<'_>>> {
    // Empty ones are common: a semicolon at the end.
    let text = text.trim_start_matches([' ', '\t', ';']);
    if text.is_empty() {
        return Some(None);
    }
    let (name, rest) = text.split_once('=')?;
    if !is_token(name) {
        return None;
    }
    let end = match rest.strip_prefix('"') {
        Some(quoted) => 1 + end_of_quoted(quoted)?,
        None => rest.find([';', ' ', '\t']).unwrap_or(rest.len()),
    };
    let (value, after) = rest.split_at_checked(end)?;
    if !value.starts_with('"') && !is_token(value) {
        return None;
    }
    let after = after.trim_start_matches(BLANK);
    (after.is_empty() || after.starts_with(';')).then_some(Some(((name, value), after)))
}

/// Where a quoted string ends, its closing quote included, in bytes from after the opening one.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if !(c == '\t' || (' '..='~').contains(&c)) => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.push(if c == '\\' { characters.next().unwrap_or('\\') } else { c });
    }
    text
}

/// Whether a text is a token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_whatever_their_case() {
        let charset = |text| MediaType::parse(text).unwrap().charset();
        assert_eq!(charset("text/plain; charset=utf-8").as_deref(), Some("utf-8"));
        assert_eq!(charset("TEXT/Plain;CharSet=\"UTF-8\" ; a=b").as_deref(), Some("utf-8"));
        assert_eq!(
            charset("multipart/mixed; boundary=\"a;\\\"charset=x\"; charset=us-ascii").as_deref(),
            Some("us-ascii")
        );
        assert_eq!(charset("text/plain;"), None);
    }

    #[test]
    fn json_and_text_are_told_from_others() {
        let is_json = |text| MediaType::parse(text).unwrap().is_json();
        assert!(is_json("application/json") && is_json("Application/LD+JSON; a=b") && is_json("text/json"));
        assert!(!is_json("application/jsonl") && !is_json("json/text"));
        let is_text = |text| MediaType::parse(text).unwrap().is_text();
        assert!(is_text("text/csv") && is_text("application/xml") && is_text("image/svg+xml"));
        assert!(is_text("application/x; charset=utf-8") && !is_text("image/png"));
        assert!(MediaType::parse("Application/JSON").unwrap().is("application/json"));
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for text in [
            "",
            "json",
            "/json",
            "text/",
            "te xt/plain",
            "text/plain; charset",
            "text/plain; a=b c",
            "a/b; c=\"d",
            "a/é",
        ] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
    }
}
