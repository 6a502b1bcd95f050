//! The message in a request's body, as Go's `encoding/json` reads it into go-micro's `broker.Message`.
//!
//! Fields are found without regard to case, others are passed over, later ones win. The whole body must be JSON before
//! anything else can be wrong with it; then the first thing that is wrong counts.

use std::borrow::Cow;
use std::fmt::Display;

use hostel_event::headers::COUNT_LIMIT;

use crate::http::wire::base64;
use crate::http::wire::json::{Kind, Scanner, SyntaxError, Text};

/// How many headers are gathered before those that came twice are thrown out. Room for every header twice and more, so
/// that an honest message is sorted once.
const GATHER_LIMIT: usize = 4 * COUNT_LIMIT;

/// Room for the headers of a common message, so that gathering them allocates once. Picked: go-micro's typed events have
/// three to six.
const COMMON_COUNT: usize = 8;

/// A header: its name and its value.
pub(crate) type Header<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What a body says.
#[derive(Debug, Default)]
pub(crate) struct Parsed<'a> {
    /// Sorted by name, each name once.
    pub(crate) headers: Vec<Header<'a>>,
    /// Whether there were more than a message may have; not all are in `headers` then.
    pub(crate) too_many: bool,
    pub(crate) body: Vec<u8>,
}

/// Reads a body; `None` is `null`.
///
/// # Errors
/// Go's error, in its words.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Parsed<'_>>, String> {
    let mut reader = Reader { scanner: Scanner::new(bytes), parsed: Parsed::default(), wrong: None };
    let kind = reader.read().map_err(|error| error.0)?;
    reader.scanner.finish().map_err(|error| error.0)?;
    match (reader.wrong, kind) {
        (Some(wrong), _) => Err(wrong),
        (None, Kind::Null) => Ok(None),
        (None, _) => {
            reader.parsed.settle();
            Ok(Some(reader.parsed))
        }
    }
}

impl<'a> Parsed<'a> {
    fn push(&mut self, header: Header<'a>) {
        if self.too_many {
            return;
        }
        self.headers.push(header);
        if self.headers.len() > GATHER_LIMIT {
            self.settle();
            self.too_many = self.headers.len() > COUNT_LIMIT;
        }
    }

    fn clear(&mut self) {
        self.headers.clear();
        self.too_many = false;
    }

    /// Sorts the headers; of those with one name the last stays. Go writes them sorted and once.
    fn settle(&mut self) {
        if self.headers.is_sorted_by(|(one, _), (next, _)| one < next) {
            return;
        }
        self.headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.headers.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
    }
}

struct Reader<'a> {
    scanner: Scanner<'a>,
    parsed: Parsed<'a>,
    /// The first value that does not fit, in Go's words.
    wrong: Option<String>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<Kind, SyntaxError> {
        let kind = self.scanner.kind()?;
        if kind != Kind::Object {
            self.scanner.skip()?;
            if kind != Kind::Null {
                let text = format!("json: cannot unmarshal {} into Go value of type broker.Message", kind.name());
                self.wrong = Some(text);
            }
            return Ok(kind);
        }
        self.scanner.open()?;
        let mut first = true;
        while let Some(name) = self.scanner.member(&mut first)? {
            let name = name.read();
            if name.eq_ignore_ascii_case("Header") {
                self.header(&name)?;
            } else if name.eq_ignore_ascii_case("Body") {
                self.body(&name)?;
            } else {
                self.scanner.skip()?;
            }
        }
        Ok(kind)
    }

    fn header(&mut self, field: &str) -> Result<(), SyntaxError> {
        match self.scanner.kind()? {
            Kind::Object => {
                self.scanner.open()?;
                self.parsed.headers.reserve(COMMON_COUNT);
            }
            Kind::Null => {
                self.parsed.clear();
                return self.scanner.skip();
            }
            kind => {
                self.mismatch(kind.name(), &[field], "map[string]string");
                return self.scanner.skip();
            }
        }
        let mut first = true;
        while let Some(name) = self.scanner.member(&mut first)? {
            match self.scanner.kind()? {
                Kind::String => {
                    let value = self.scanner.text()?.read();
                    self.parsed.push((name.read(), value));
                }
                Kind::Null => {
                    self.scanner.skip()?;
                    self.parsed.push((name.read(), Cow::Borrowed("")));
                }
                kind => {
                    self.scanner.skip()?;
                    self.mismatch(kind.name(), &[field, &name.read()], "string");
                }
            }
        }
        Ok(())
    }

    fn body(&mut self, field: &str) -> Result<(), SyntaxError> {
        match self.scanner.kind()? {
            Kind::String => {
                let text = self.scanner.text()?;
                self.base64(field, text);
                Ok(())
            }
            Kind::Array => self.numbers(field),
            Kind::Null => {
                self.parsed.body = Vec::new();
                self.scanner.skip()
            }
            kind => {
                self.mismatch(kind.name(), &[field], "[]uint8");
                self.scanner.skip()
            }
        }
    }

    fn base64(&mut self, field: &str, text: Text<'_>) {
        match base64::decode(&text.bytes()) {
            Ok(body) => self.parsed.body = body,
            Err(at) => {
                let kind = format_args!("[]uint8: illegal base64 data at input byte {at}");
                self.mismatch("string", &[field], kind);
            }
        }
    }

    /// A body as an array of numbers. A `null` in it leaves what an earlier body had there.
    fn numbers(&mut self, field: &str) -> Result<(), SyntaxError> {
        let earlier = std::mem::take(&mut self.parsed.body);
        self.scanner.open()?;
        let mut first = true;
        while self.scanner.element(&mut first)? {
            let at = self.parsed.body.len();
            let mut byte = 0;
            match self.scanner.kind()? {
                Kind::Number => {
                    let number = self.scanner.number()?;
                    match number.parse() {
                        Ok(value) => byte = value,
                        Err(_) => self.mismatch(format_args!("number {number}"), &[field, &at.to_string()], "uint8"),
                    }
                }
                Kind::Null => {
                    self.scanner.skip()?;
                    byte = earlier.get(at).copied().unwrap_or_default();
                }
                kind => {
                    self.scanner.skip()?;
                    self.mismatch(kind.name(), &[field, &at.to_string()], "uint8");
                }
            }
            self.parsed.body.push(byte);
        }
        Ok(())
    }

    /// Notes that a value does not fit, unless something else was wrong before. Go takes what ends in digits for an
    /// element of an array.
    fn mismatch(&mut self, value: impl Display, path: &[&str], kind: impl Display) {
        if self.wrong.is_some() {
            return;
        }
        let escaped: Vec<String> = path.iter().map(|name| name.replace('~', "~0").replace('/', "~1")).collect();
        let path = escaped.join(".");
        let last = path.rsplit('.').next().unwrap_or_default();
        let is_element = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        let what = if is_element { "" } else { "Go struct field " };
        self.wrong = Some(format!("json: cannot unmarshal {value} into {what}.{path} of type {kind}"));
    }
}
