//! The rules for names and values of attributes (CloudEvents 1.0.2, sections 2 and 3).

use std::fmt;

use super::{SPECVERSION, excerpt, media_type::MediaType, time, uri, value};

/// The most bytes of an attribute's name: with `ce-` before it, it has to be a header's name. The specification wishes
/// for at most 20.
pub(super) const NAME_LIMIT: usize = crate::headers::NAME_LIMIT - super::PREFIX.len();

/// A rule that an attribute breaks. Its text goes on from the attribute's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Required, and not there.
    Missing,
    /// There, and empty.
    Empty,
    /// There twice.
    Twice,
    /// `specversion` is another.
    Version(String),
    /// Not a name for an attribute.
    Name(char),
    /// An empty name.
    NoName,
    /// A name that is too long.
    LongName(usize),
    /// `data` and `data_base64`, which are no attributes.
    Reserved,
    /// `ce-datacontenttype`, which would be said twice.
    IsContentType,
    /// A character that no String may hold.
    Character(char),
    /// Not a URI reference, or not a URI.
    Uri(&'static str),
    /// Not a point in time.
    Time,
    /// Not a media type.
    MediaType,
    /// A header's value is not encoded as it should be.
    Encoding(value::DecodeError),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing; every CloudEvent has id, source, specversion and type"),
            Self::Empty => f.write_str("is empty; leave it out, or give it a value"),
            Self::Twice => f.write_str("stands there twice"),
            Self::Version(found) => write!(f, "is {found:?}; only {SPECVERSION:?} is taken"),
            Self::Name(found) => write!(f, "has {found:?} in its name; names are of a-z and 0-9"),
            Self::NoName => f.write_str("has no name; names are of a-z and 0-9"),
            Self::LongName(length) => write!(f, "has a name of {length} bytes, more than {NAME_LIMIT}"),
            Self::Reserved => f.write_str("has a name that is kept for the data; give it another"),
            Self::IsContentType => f.write_str("must not be a header of its own; `Content-Type` says it"),
            Self::Character(found) => {
                write!(f, "has the character U+{:04X}; control and non-characters are not allowed", u32::from(*found))
            }
            Self::Uri(why) => f.write_str(why),
            Self::Time => f.write_str("is not a time of RFC 3339, such as `2026-01-31T12:00:00Z`"),
            Self::MediaType => f.write_str("is not a media type of RFC 2046, such as `text/plain; charset=utf-8`"),
            Self::Encoding(error) => error.fmt(f),
        }
    }
}

/// Whether a text names an attribute.
pub(super) fn check_name(name: &str) -> Result<(), Rule> {
    if name.is_empty() {
        return Err(Rule::NoName);
    }
    if name == "data" || name == "data_base64" {
        return Err(Rule::Reserved);
    }
    if name.len() > NAME_LIMIT {
        return Err(Rule::LongName(name.len()));
    }
    match name.chars().find(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit()) {
        None => Ok(()),
        Some(found) => Err(Rule::Name(found)),
    }
}

/// Whether a text is a value for the attribute of this name.
pub(super) fn check_value(name: &str, text: &str) -> Result<(), Rule> {
    if let Some(found) = text.chars().find(|c| c.is_control() || is_noncharacter(*c)) {
        return Err(Rule::Character(found));
    }
    if text.is_empty() && super::KNOWN.contains(&name) {
        return Err(Rule::Empty);
    }
    match name {
        "specversion" if text != SPECVERSION => Err(Rule::Version(excerpt(text))),
        "source" => uri::check_reference(text).map_err(Rule::Uri),
        "dataschema" => uri::check_absolute(text).map_err(Rule::Uri),
        "time" if !time::is_rfc3339(text) => Err(Rule::Time),
        "datacontenttype" if MediaType::parse(text).is_none() => Err(Rule::MediaType),
        _ => Ok(()),
    }
}

/// The code points that Unicode keeps from ever being characters: 32 in a row, and the last two of each plane.
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}
