//! The node's id in a request's query, as Go's `net/url` reads and writes it.

use std::borrow::Cow;

/// The first `id` of a query, decoded; empty if there is none. A pair with a semicolon or a wrong escape is no pair.
pub(crate) fn id(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.contains(';'));
    let named = pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((unescape(name)?, unescape(value)?))
    });
    for (name, value) in named {
        if *name == *b"id" {
            return String::from_utf8_lossy(&value).into_owned();
        }
    }
    String::new()
}

/// `id` as a query.
pub(crate) fn write_id(out: &mut String, id: &str) {
    out.push_str("id=");
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default().to_ascii_uppercase();
                out.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
    }
}

fn unescape(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(Cow::Owned(out))
}
