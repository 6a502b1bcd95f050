//! URIs and references to them (RFC 3986), as far as telling them from other texts takes.

const CHARACTER: &str = "is not a URI: it has a character that must be percent-encoded in one";
const PERCENT: &str = "is not a URI: `%` is not followed by two hexadecimal digits";
const SCHEME: &str = "is not a URI: what stands before the first `:` is no scheme";
const FRAGMENT: &str = "is not a URI: it has more than one `#`";
const BRACKET: &str = "is not a URI: `[` and `]` stand only around an address of IPv6";
const RELATIVE: &str = "is not an absolute URI: it has no scheme";

/// Whether a text is a URI reference (section 4.1); if not, why.
pub(super) fn check_reference(text: &str) -> Result<(), &'static str> {
    check_characters(text)?;
    if text.bytes().filter(|c| *c == b'#').count() > 1 {
        return Err(FRAGMENT);
    }
    if !text.is_empty() && has_colon(text) && scheme(text).is_none() {
        return Err(SCHEME);
    }
    check_brackets(text)
}

/// Whether a text is a URI with a scheme (section 3); if not, why. With a fragment or without: schemas are commonly named
/// with one.
pub(super) fn check_absolute(text: &str) -> Result<(), &'static str> {
    check_reference(text)?;
    scheme(text).map(drop).ok_or(RELATIVE)
}

fn check_characters(text: &str) -> Result<(), &'static str> {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                if !is_digit(rest.next()) || !is_digit(rest.next()) {
                    return Err(PERCENT);
                }
            }
            // Unreserved, then the delimiters of section 2.2.
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {}
            b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            _ => return Err(CHARACTER),
        }
    }
    Ok(())
}

/// The part before the first slash, question mark or number sign: there a colon ends a scheme.
fn first_segment(text: &str) -> &str {
    text.split(['/', '?', '#']).next().unwrap_or_default()
}

fn has_colon(text: &str) -> bool {
    first_segment(text).contains(':')
}

fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = first_segment(text).split_once(':')?;
    let mut characters = scheme.chars();
    let begins = characters.next().is_some_and(|c| c.is_ascii_alphabetic());
    let goes_on = characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (begins && goes_on).then_some(scheme)
}

fn check_brackets(text: &str) -> Result<(), &'static str> {
    let after_scheme = scheme(text).and_then(|scheme| text.get(scheme.len() + 1..)).unwrap_or(text);
    let rest = match after_scheme.strip_prefix("//") {
        None => after_scheme,
        Some(rest) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            if let Some(address) = host.strip_prefix('[') {
                let Some((address, port)) = address.split_once(']') else { return Err(BRACKET) };
                if address.contains('[') || port.contains(['[', ']']) {
                    return Err(BRACKET);
                }
            } else if authority.contains(['[', ']']) {
                return Err(BRACKET);
            }
            path
        }
    };
    if rest.contains(['[', ']']) { Err(BRACKET) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_the_specification_are_taken() {
        for text in [
            "https://github.com/cloudevents",
            "mailto:cncf-wg-serverless@lists.cncf.io",
            "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
            "/cloudevents/spec/pull/123",
            "/sensors/tn-1234567/alerts",
            "1-555-123-4567",
            "//github.com/cloudevents/cloudeventsconformance/yaml/v1.yaml",
            "http://user@[::1]:80/a?b=c#d",
            "a/b:c",
            "?q",
            "/%C3%A9",
        ] {
            assert_eq!(check_reference(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused_with_its_reason() {
        let check = |text: &str, expected| assert_eq!(check_reference(text), Err(expected), "{text}");
        check("/a b", CHARACTER);
        check("/é", CHARACTER);
        check("a\\b", CHARACTER);
        check("/100%", PERCENT);
        check("/%4x", PERCENT);
        check("1:2", SCHEME);
        check(":x", SCHEME);
        check("a#b#c", FRAGMENT);
        check("/a[0]", BRACKET);
        check("http://[::1/a", BRACKET);
        check("http://a[0]/", BRACKET);
    }

    #[test]
    fn an_absolute_uri_has_a_scheme() {
        assert_eq!(check_absolute("https://example.com/schema.json#/definitions/a"), Ok(()));
        assert_eq!(check_absolute("/schema.json"), Err(RELATIVE));
    }
}
