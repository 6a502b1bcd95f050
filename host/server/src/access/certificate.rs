//! What a client's certificate is known by: its SHA-256, as `openssl x509 -fingerprint -sha256` shows it.

use std::fmt;

use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate as it goes over the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate in DER.
    pub(crate) fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Reads 64 hexadecimal digits, with `sha256:` before them or not, and with colons between the bytes, as OpenSSL
    /// writes them, or not; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits: String = match text.strip_prefix("sha256:") {
            Some(digits) => digits.to_owned(),
            None if text.len() == 32 * 3 - 1 => text.split(':').filter(|byte| byte.len() == 2).collect(),
            None => text.to_owned(),
        };
        let digest = hostel_event::handler::Digest::parse(&digits.to_ascii_lowercase()).ok()?;
        Some(Self(*digest.as_bytes()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written_by_us_and_by_openssl() {
        let print = Fingerprint::of(b"certificate");
        let text = print.to_string();
        let hex = text.strip_prefix("sha256:").unwrap();
        let bytes: Vec<&str> = hex.as_bytes().chunks(2).map(|byte| std::str::from_utf8(byte).unwrap()).collect();
        for text in [&text, hex, &hex.to_uppercase(), &bytes.join(":").to_uppercase(), &format!(" {hex}\n")] {
            assert_eq!(Fingerprint::parse(text), Some(print), "{text}");
        }
        for text in ["", "sha256:", hex.split_at(1).1, "client.pem", &format!("{hex}0"), &bytes.join("-")] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
