//! The bytes from which this broker's records are made: numbers of variable length, texts, byte strings. What the
//! records are stands in [`super::record`] and [`super::history`].

use hostel_event::time::Timestamp;

/// Why bytes were not understood. The caller adds where they stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// Writes a record.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Begins a record with the number of its format.
    pub(crate) fn new(format: u8, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(format);
        Self(bytes)
    }

    pub(crate) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    /// Unsigned LEB128: seven bits a byte, the lowest first, the eighth set on all but the last.
    pub(crate) fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.byte((number & 0x7f) as u8)
    }

    pub(crate) fn length(&mut self, length: usize) -> &mut Self {
        self.number(length as u64)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len());
        self.raw(bytes)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Nothing is 0, anything else one more than it is.
    pub(crate) fn optional(&mut self, number: Option<u64>) -> &mut Self {
        self.number(number.map_or(0, |number| number.saturating_add(1)))
    }

    pub(crate) fn time(&mut self, time: Timestamp) -> &mut Self {
        self.number(time.as_millis())
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a record. Every length is checked against what is there before anything is made of it.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins to read a record, whose format must be this one.
    pub(crate) fn new(bytes: &'a [u8], format: u8) -> Result<Self, Unreadable> {
        let mut reader = Self { bytes, at: 0 };
        if reader.byte()? == format { Ok(reader) } else { Err(Unreadable("its format is unknown")) }
    }

    /// Begins to read a record of this format or an older one, and says which.
    pub(crate) fn up_to(bytes: &'a [u8], newest: u8) -> Result<(Self, u8), Unreadable> {
        let mut reader = Self { bytes, at: 0 };
        let format = reader.byte()?;
        if (1..=newest).contains(&format) { Ok((reader, format)) } else { Err(Unreadable("its format is unknown")) }
    }

    /// How far it has read.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Unreadable> {
        let byte = self.bytes.get(self.at).ok_or(Unreadable("it ends too early"))?;
        self.at += 1;
        Ok(*byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable("a number is too long"))
    }

    pub(crate) fn small(&mut self) -> Result<u32, Unreadable> {
        u32::try_from(self.number()?).map_err(|_| Unreadable("a number is too large"))
    }

    /// A count of things that take at least a byte each, so that no more is made room for than can be there.
    pub(crate) fn length(&mut self) -> Result<usize, Unreadable> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > self.bytes.len() - self.at { Err(Unreadable("it ends too early")) } else { Ok(length) }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.length()?;
        let found = self.bytes.get(self.at..self.at + length).ok_or(Unreadable("it ends too early"))?;
        self.at += length;
        Ok(found)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Unreadable("a text is not UTF-8"))
    }

    pub(crate) fn optional(&mut self) -> Result<Option<u64>, Unreadable> {
        Ok(self.number()?.checked_sub(1))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Unreadable> {
        self.number().map(Timestamp::from_millis)
    }

    /// Says that nothing may follow.
    pub(crate) fn end(&self) -> Result<(), Unreadable> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Unreadable("there are bytes after its end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_come_back() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut writer = Writer::new(1, 0);
            writer.number(number);
            let bytes = writer.done();
            let mut reader = Reader::new(&bytes, 1).unwrap();
            assert_eq!(reader.number(), Ok(number));
            reader.end().unwrap();
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_refused() {
        assert_eq!(Reader::new(&[2], 1).unwrap_err(), Unreadable("its format is unknown"));
        assert_eq!(Reader::new(&[1, 0x80], 1).unwrap().number(), Err(Unreadable("it ends too early")));
        assert_eq!(Reader::new(&[1, 5, b'a'], 1).unwrap().text(), Err(Unreadable("it ends too early")));
        assert_eq!(Reader::new(&[1, 1, 0xff], 1).unwrap().text(), Err(Unreadable("a text is not UTF-8")));
        assert_eq!(
            Reader::new(&[&[1][..], &[0xff; 10]].concat(), 1).unwrap().number().unwrap_err().0,
            "a number is too long"
        );
    }
}
