//! JSON's grammar as Go's `encoding/json` holds it, and its words for what breaks it.
//!
//! The words are those of the newer of Go's two implementations, which the captures of go-micro show. What a value means
//! is not decided here.

use std::borrow::Cow;

use crate::http::wire::quote;

/// The most arrays and objects within one another.
const DEPTH_LIMIT: usize = 10_000;

/// Where the grammar is broken, in Go's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError(pub(crate) String);

/// What a value is, as Go names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// A string between its quotes, as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    raw: &'a [u8],
    escapes: bool,
}

impl<'a> Text<'a> {
    /// What it says.
    pub(crate) fn read(self) -> Cow<'a, str> {
        match str::from_utf8(self.raw) {
            Ok(text) if !self.escapes => Cow::Borrowed(text),
            _ => Cow::Owned(unescape(self.raw)),
        }
    }

    /// The same as bytes; those of a string without escapes may be no UTF-8.
    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        if self.escapes { Cow::Owned(unescape(self.raw).into_bytes()) } else { Cow::Borrowed(self.raw) }
    }
}

/// Reads a text from its start to its end.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many arrays and objects are open.
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// The next byte that is not white space. It is not taken.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8, SyntaxError> {
        self.skip_white_space();
        self.bytes.get(self.at).copied().ok_or_else(end)
    }

    /// What the next value is.
    pub(crate) fn kind(&mut self) -> Result<Kind, SyntaxError> {
        match self.peek()? {
            b'n' => Ok(Kind::Null),
            b't' | b'f' => Ok(Kind::Bool),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b'"' => Ok(Kind::String),
            b'[' => Ok(Kind::Array),
            b'{' => Ok(Kind::Object),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    /// Goes into the array or object that is next.
    pub(crate) fn open(&mut self) -> Result<(), SyntaxError> {
        if self.depth == DEPTH_LIMIT {
            return Err(SyntaxError("exceeded max depth".to_owned()));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// The name of the object's next member, up to its value; none at the object's end. `first` is true before the
    /// first one.
    pub(crate) fn member(&mut self, first: &mut bool) -> Result<Option<Text<'a>>, SyntaxError> {
        if !self.next(first, b'}', "after object key:value pair")? {
            return Ok(None);
        }
        if self.peek()? != b'"' {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let name = self.text()?;
        if self.peek()? != b':' {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Whether the array has another element; goes up to it.
    pub(crate) fn element(&mut self, first: &mut bool) -> Result<bool, SyntaxError> {
        self.next(first, b']', "after array element")
    }

    /// The string that is next.
    pub(crate) fn text(&mut self) -> Result<Text<'a>, SyntaxError> {
        self.at += 1;
        let start = self.at;
        let mut escapes = false;
        loop {
            self.at += plain(self.rest());
            match self.rest().first() {
                None => return Err(end()),
                Some(b'"') => {
                    let raw = self.bytes.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Text { raw, escapes });
                }
                Some(b'\\') => {
                    escapes = true;
                    self.at += escape(self.rest())?;
                }
                Some(_) => return Err(self.unexpected("in string")),
            }
        }
    }

    /// The number that is next, as it is written.
    pub(crate) fn number(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.at;
        if self.rest().first() == Some(&b'-') {
            self.at += 1;
        }
        match self.rest().first() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.rest().first() {
            self.at += 1;
            if let Some(b'-' | b'+') = self.rest().first() {
                self.at += 1;
            }
            self.digits()?;
        }
        // Only ASCII was passed.
        Ok(self.bytes.get(start..self.at).and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default())
    }

    /// Passes the value that is next, whole. Without recursion: it may be 10,000 deep.
    pub(crate) fn skip(&mut self) -> Result<(), SyntaxError> {
        let mut open: Vec<(Kind, bool)> = Vec::new();
        loop {
            match self.kind()? {
                kind @ (Kind::Array | Kind::Object) => {
                    self.open()?;
                    open.push((kind, true));
                }
                Kind::Number => drop(self.number()?),
                Kind::String => drop(self.text()?),
                Kind::Null | Kind::Bool => self.literal()?,
            }
            // Up to the next value, out of all that ends here.
            loop {
                let Some((kind, first)) = open.last_mut() else { return Ok(()) };
                let more = if *kind == Kind::Object { self.member(first)?.is_some() } else { self.element(first)? };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    /// Makes sure that nothing follows.
    pub(crate) fn finish(mut self) -> Result<(), SyntaxError> {
        self.skip_white_space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.unexpected("after top-level value")) }
    }

    #[inline]
    fn next(&mut self, first: &mut bool, close: u8, place: &str) -> Result<bool, SyntaxError> {
        let byte = self.peek()?;
        if byte == close {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if !std::mem::replace(first, false) {
            if byte != b',' {
                return Err(self.unexpected(place));
            }
            self.at += 1;
        }
        Ok(true)
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(if self.rest().is_empty() { end() } else { self.unexpected("in numeric literal") });
        }
        self.at += count;
        Ok(())
    }

    fn literal(&mut self) -> Result<(), SyntaxError> {
        let literal = match self.rest().first() {
            Some(b'n') => "null",
            Some(b't') => "true",
            _ => "false",
        };
        for expected in literal.bytes() {
            match self.rest().first() {
                None => return Err(end()),
                Some(&byte) if byte == expected => self.at += 1,
                Some(_) => {
                    let place = format!("in literal {literal} (expecting '{}')", char::from(expected));
                    return Err(self.unexpected(&place));
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn skip_white_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn unexpected(&self, place: &str) -> SyntaxError {
        SyntaxError(format!("invalid character {} {place}", quote::character(self.rest())))
    }
}

fn end() -> SyntaxError {
    SyntaxError("unexpected end of JSON input".to_owned())
}

/// How many bytes stand before the next that a string may not simply have.
fn plain(bytes: &[u8]) -> usize {
    const WIDTH: usize = 16;
    // Without branches, so that the compiler compares many bytes at a time.
    let is_special = |&byte: &u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    let (chunks, _) = bytes.as_chunks::<WIDTH>();
    let is_plain = |chunk: &&[u8; WIDTH]| !chunk.iter().fold(false, |found, byte| found | is_special(byte));
    let whole = chunks.iter().take_while(is_plain).count() * WIDTH;
    let rest = bytes.get(whole..).unwrap_or_default();
    whole + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The length of the escape sequence that `bytes` begin with.
fn escape(bytes: &[u8]) -> Result<usize, SyntaxError> {
    let wrong = |sequence: &[u8]| {
        let sequence = quote::sequence(sequence);
        Err(SyntaxError(format!("invalid escape sequence {sequence} in string")))
    };
    match bytes {
        [] | [_] => Err(end()),
        [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(2),
        [_, b'u', digits @ ..] => {
            let digits = digits.get(..digits.len().min(4)).unwrap_or_default();
            match (digits.iter().all(u8::is_ascii_hexdigit), digits.len()) {
                (true, 4) => Ok(6),
                (true, _) => Err(end()),
                (false, length) => wrong(bytes.get(..2 + length).unwrap_or_default()),
            }
        }
        [_, _, ..] => wrong(bytes.get(..2).unwrap_or_default()),
    }
}

/// What a string says whose escapes are known to be right. What is no UTF-8, and half of a surrogate pair, becomes
/// U+FFFD, one for each byte.
fn unescape(mut raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    loop {
        let at = raw.iter().position(|&byte| byte == b'\\').unwrap_or(raw.len());
        let (plain, rest) = raw.split_at(at);
        for chunk in plain.utf8_chunks() {
            out.push_str(chunk.valid());
            out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        raw = match rest {
            [_, b'u', ..] => unescape_unit(&mut out, rest),
            [_, byte, after @ ..] => {
                out.push(match byte {
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    byte => char::from(*byte),
                });
                after
            }
            _ => return out,
        };
    }
}

/// Appends the character of `\uXXXX`, or of two of them, and returns what follows.
fn unescape_unit<'a>(out: &mut String, sequence: &'a [u8]) -> &'a [u8] {
    let after = sequence.get(6..).unwrap_or_default();
    let pair = [unit(sequence), unit(after)];
    let units = pair.into_iter().map_while(|unit| unit);
    let c = char::decode_utf16(units).next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.push(c);
    if c.len_utf16() == 2 { after.get(6..).unwrap_or_default() } else { after }
}

/// The number in `\uXXXX` at the start of a text.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}
