//! Text as a JSON string, as Go's `encoding/json` writes it.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` with its quotes. Besides what JSON asks for, `<`, `>`, `&`, U+2028 and U+2029 are escaped.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| is_special(byte)) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match from {
            [0xe2, 0x80, last @ (0xa8 | 0xa9), after @ ..] => {
                out.extend_from_slice(br"\u202");
                out.push(last - 0xa8 + b'8');
                after
            }
            [byte, after @ ..] => {
                escape(out, *byte);
                after
            }
            [] => from,
        };
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn is_special(byte: u8) -> bool {
    // U+2028 and U+2029 begin with 0xe2.
    matches!(byte, 0..0x20 | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0xe2 => return out.push(byte),
        _ => {
            out.extend_from_slice(br"\u00");
            let digit = |at: u8| HEX.get(usize::from(at)).copied().unwrap_or_default();
            return out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
