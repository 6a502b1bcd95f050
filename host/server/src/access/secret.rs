//! The text of a token: `hostel_`, a public id, `_`, 256 random bits. All in hexadecimal, so that a double click takes
//! all of it and a scanner for leaked secrets finds it.
//!
//! What is kept of it is its SHA-256. A slow hash makes guesses dear where people choose passwords; 256 bits from the
//! system's generator cannot be guessed at any speed, and every request would pay for it.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "hostel_";
/// Bytes of the id. It only tells tokens apart.
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// The SHA-256 of a token's text.
#[derive(Clone, Copy)]
pub(super) struct Hash([u8; 32]);

impl Hash {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether it is that of this text. Takes as long for whatever text of the same length.
    pub(super) fn is_of(&self, text: &str) -> bool {
        self.0.ct_eq(&Self::of(text).0).into()
    }

    /// As it is kept.
    pub(super) fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// As it was kept; `None` if it is none.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let digest = hostel_event::handler::Digest::parse(text).ok()?;
        Some(Self(*digest.as_bytes()))
    }
}

/// A token that was just drawn.
pub(super) struct Drawn {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) hash: Hash,
}

/// Makes a token out of random bytes.
pub(super) fn drawn(id: [u8; ID_BYTES], secret: [u8; SECRET_BYTES]) -> Drawn {
    let id = hex(&id);
    let text = format!("{PREFIX}{id}_{}", hex(&secret));
    let hash = Hash::of(&text);
    Drawn { id, text, hash }
}

/// A token that somebody kept: its id and hash; `None` if the text is none.
pub(super) fn parsed(text: &str) -> Option<Drawn> {
    let id = id(text)?.to_owned();
    Some(Drawn { id, text: text.to_owned(), hash: Hash::of(text) })
}

/// The id in a token's text; `None` if it is none.
pub(super) fn id(text: &str) -> Option<&str> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex = |text: &str, bytes: usize| {
        text.len() == 2 * bytes && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    };
    (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES)).then_some(id)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_by_its_text_and_no_other() {
        let token = drawn([0xab; 8], [7; 32]);
        assert_eq!(token.text, format!("hostel_{}_{}", "ab".repeat(8), "07".repeat(32)));
        assert_eq!(id(&token.text), Some("ab".repeat(8).as_str()));
        assert!(token.hash.is_of(&token.text));
        assert!(!token.hash.is_of(&drawn([0xab; 8], [8; 32]).text));
        let kept = Hash::from_hex(&token.hash.to_hex()).unwrap();
        assert!(kept.is_of(&token.text));
    }

    #[test]
    fn what_is_no_token_has_no_id() {
        let good = drawn([1; 8], [2; 32]).text;
        let bad = [
            "",
            "hostel_",
            "hostel__",
            &good.to_uppercase(),
            good.split_at(1).1,
            good.split_at(good.len() - 1).0,
            &format!("{good}0"),
        ];
        for text in bad {
            assert_eq!(id(text), None, "{text}");
        }
    }
}
