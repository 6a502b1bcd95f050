//! Characters and texts in Go's quotes, as they stand in its errors.
//!
//! What is printable follows Rust's Unicode tables, which may know newer characters than the Go of the other side.

use std::fmt::Write as _;

/// The first character of `bytes` in single quotes: `'x'`, `'\n'`, `'\u2028'`, `'\xff'`.
pub(crate) fn character(bytes: &[u8]) -> String {
    let mut out = String::from("'");
    match first(bytes) {
        Ok(c) => push(&mut out, c, '\''),
        Err(byte) => push_byte(&mut out, byte),
    }
    out.push('\'');
    out
}

/// An escape sequence that is none: in backticks, or in quotes if that would not be readable.
pub(crate) fn sequence(bytes: &[u8]) -> String {
    let readable = |c: char| c != '`' && c != char::REPLACEMENT_CHARACTER && !c.is_whitespace() && is_printable(c);
    match str::from_utf8(bytes) {
        Ok(text) if text.chars().all(readable) => format!("`{text}`"),
        _ => text(bytes),
    }
}

/// The bytes in double quotes.
fn text(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(&mut out, c, '"'));
        chunk.invalid().iter().for_each(|&byte| push_byte(&mut out, byte));
    }
    out.push('"');
    out
}

/// The first character, or the byte that begins none.
fn first(bytes: &[u8]) -> Result<char, u8> {
    let start = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    let chunk = start.utf8_chunks().next();
    chunk.and_then(|chunk| chunk.valid().chars().next()).ok_or_else(|| bytes.first().copied().unwrap_or_default())
}

fn push(out: &mut String, c: char, quote: char) {
    let escaped = match c {
        _ if c == quote || c == '\\' => c,
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '\0'..' ' | '\u{7f}' => {
            let _ = write!(out, r"\x{:02x}", u32::from(c));
            return;
        }
        _ if is_printable(c) => return out.push(c),
        _ if u32::from(c) < 0x1_0000 => {
            let _ = write!(out, r"\u{:04x}", u32::from(c));
            return;
        }
        _ => {
            let _ = write!(out, r"\U{:08x}", u32::from(c));
            return;
        }
    };
    out.extend(['\\', escaped]);
}

fn push_byte(out: &mut String, byte: u8) {
    let _ = write!(out, r"\x{byte:02x}");
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space. `escape_debug` escapes the others, and a mark only
/// where it comes first; so a letter precedes it.
fn is_printable(c: char) -> bool {
    match c {
        '"' | '\'' | '\\' => true,
        _ => ['a', c].iter().collect::<String>().escape_debug().nth(1) == Some(c),
    }
}
