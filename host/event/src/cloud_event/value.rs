//! Attributes' values as values of HTTP headers, and back (CloudEvents HTTP binding 1.0.2, section "HTTP Header
//! Values").

use std::borrow::Cow;

/// Why a header's value is not an attribute's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It begins with a double quote, and is not one quoted string.
    #[error("begins with a double quote and is not one quoted string; write a quote as %22")]
    Quote,
    /// A lone percent sign.
    #[error("has `%` without two hexadecimal digits after it; write a percent sign as %25")]
    Percent,
    /// Bytes that mean no text.
    #[error("is percent-encoded from bytes that are not UTF-8")]
    Utf8,
}

/// Encodes blank, double quote, percent and everything outside of U+0021 to U+007E as `%XX`, in upper case, of UTF-8.
#[must_use]
pub fn encode(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend([digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    Cow::Owned(encoded)
}

/// Takes a quoted string out of its quotes, then decodes percent signs, once.
///
/// Digits may be in lower case, and characters encoded that need not be.
///
/// # Errors
/// [`DecodeError`] says what is malformed.
pub fn decode(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    match unquote(text)? {
        Cow::Borrowed(text) => unpercent(text),
        Cow::Owned(text) => unpercent(&text).map(|decoded| Cow::Owned(decoded.into_owned())),
    }
}

fn is_plain(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte) && byte != b'"' && byte != b'%'
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

/// A value that begins with a double quote is one quoted string, to its end. A quote anywhere else is just that: senders
/// of before version 1.0.2 did not encode it.
fn unquote(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    let Some(quoted) = text.strip_prefix('"') else { return Ok(Cow::Borrowed(text)) };
    let mut plain = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next().ok_or(DecodeError::Quote)? {
            '"' if characters.as_str().is_empty() => return Ok(Cow::Owned(plain)),
            '"' => return Err(DecodeError::Quote),
            '\\' => plain.push(characters.next().ok_or(DecodeError::Quote)?),
            c => plain.push(c),
        }
    }
}

fn unpercent(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|c| char::from(c).to_digit(16)).ok_or(DecodeError::Percent);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| DecodeError::Percent)?);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| DecodeError::Utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_specifications_example_is_encoded_as_it_says() {
        let check = |text: &str, encoded: &str| {
            assert_eq!(encode(text), encoded);
            assert_eq!(decode(encoded).as_deref(), Ok(text));
        };
        check("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80");
        check("plain-~!", "plain-~!");
        check("100% \"sure\"\\", "100%25%20%22sure%22\\");
        check("\u{7f}\n", "%7F%0A");
        check("", "");
    }

    #[test]
    fn older_and_careless_encodings_are_read() {
        let check = |encoded: &str, text: &str| assert_eq!(decode(encoded).as_deref(), Ok(text), "{encoded}");
        check("%e2%82%ac", "€");
        check("%41%42C", "ABC");
        check("\"a b\"", "a b");
        check(r#""a \"b\" \\ %41""#, "a \"b\" \\ A");
        check(r#"{"a": 5}"#, r#"{"a": 5}"#);
        check("5\" disk", "5\" disk");
        check("Euro €", "Euro €");
        check("a\\b", "a\\b");
        check("\"\"", "");
    }

    #[test]
    fn it_is_decoded_once() {
        assert_eq!(decode("%2541").as_deref(), Ok("%41"));
        assert_eq!(decode("%22a%22").as_deref(), Ok("\"a\""));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let check = |encoded: &str, expected| assert_eq!(decode(encoded), Err(expected), "{encoded}");
        check("%C0%A0", DecodeError::Utf8);
        check("%E2%82", DecodeError::Utf8);
        check("%ED%A0%80", DecodeError::Utf8);
        check("100%", DecodeError::Percent);
        check("%4", DecodeError::Percent);
        check("%zz", DecodeError::Percent);
        check("%€", DecodeError::Percent);
        check("\"a", DecodeError::Quote);
        check("\"a\" b", DecodeError::Quote);
        check("\"a\\", DecodeError::Quote);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'"'));
            prop_assert_eq!(decode(&encoded).unwrap(), text.as_str());
        }

        #[test]
        fn no_value_is_too_much(text in any::<String>()) {
            let _ = decode(&text);
        }
    }
}
