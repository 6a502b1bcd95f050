//! Base64 as Go reads it: padded, with line ends anywhere and any bits after the last byte.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const STRICT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Appends `data` in base64.
pub(crate) fn encode(out: &mut Vec<u8>, data: &[u8]) {
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    // The room is exactly what it takes.
    let written = STRICT.encode_slice(data, room).unwrap_or_default();
    out.truncate(start + written);
}

/// The bytes that `text` stands for, or where Go says that it is illegal.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let padding = text.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let mut data = vec![0; (text.len() / 4 * 3).saturating_sub(padding)];
    match STRICT.decode_slice(text, &mut data) {
        Ok(length) => {
            data.truncate(length);
            Ok(data)
        }
        Err(_) => tolerate(text),
    }
}

/// The rare case: line ends, or an error, which Go counts in its own way.
fn tolerate(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut data = Vec::with_capacity(text.len() / 4 * 3);
    let mut at = 0;
    while let Some(quantum) = quantum(text, at)? {
        data.extend(quantum.bytes.into_iter().take(quantum.length));
        at = quantum.end;
    }
    Ok(data)
}

/// What four digits stand for.
struct Quantum {
    bytes: [u8; 3],
    /// How many of them count.
    length: usize,
    /// Where the next one begins.
    end: usize,
}

/// The four digits from `at` on, line ends between them left out; none if only line ends follow.
fn quantum(text: &[u8], mut at: usize) -> Result<Option<Quantum>, usize> {
    let mut digits = [0; 4];
    let mut length = 0;
    while length < digits.len() {
        let Some(&byte) = text.get(at) else {
            return if length == 0 { Ok(None) } else { Err(at - length) };
        };
        at += 1;
        match (value(byte), digits.get_mut(length)) {
            (Some(value), Some(digit)) => {
                *digit = value;
                length += 1;
            }
            _ if matches!(byte, b'\n' | b'\r') => {}
            _ if byte == b'=' && length >= 2 => {
                at = after_padding(text, at, length)?;
                break;
            }
            _ => return Err(at - 1),
        }
    }
    let [a, b, c, d] = digits;
    Ok(Some(Quantum { bytes: [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d], length: length - 1, end: at }))
}

/// The end of a text whose first `=` ends at `at`, after `length` digits.
fn after_padding(text: &[u8], mut at: usize, length: usize) -> Result<usize, usize> {
    if length == 2 {
        at = after_line_ends(text, at);
        match text.get(at) {
            None => return Err(text.len()),
            Some(b'=') => at += 1,
            Some(_) => return Err(at - 1),
        }
    }
    at = after_line_ends(text, at);
    if at < text.len() { Err(at) } else { Ok(at) }
}

fn after_line_ends(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b'\n' | b'\r')) {
        at += 1;
    }
    at
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
