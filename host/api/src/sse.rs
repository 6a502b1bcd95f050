//! Server-sent events, the reading side: bytes in, messages out. Knows nothing of HTTP.

use std::collections::VecDeque;

/// The most bytes that a line, or all data lines of one message, may have. An event's body of 1 MiB grows to at most
/// 6 MiB when JSON escapes every byte of it; the rest is room.
pub const LIMIT: usize = 16 * 1024 * 1024;

/// One message of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Its kind; empty where the stream names none.
    pub event: String,
    /// Its id, if it has one of its own.
    pub id: Option<String>,
    /// Its data lines, joined by line ends.
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// A line or a message over [`LIMIT`].
    #[error("a message of the stream has more than {LIMIT} bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("a line of the stream is not UTF-8")]
    NotUtf8,
}

/// Takes the bytes of a stream as they come and gives the messages that are whole.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The bytes since the last line end.
    line: Vec<u8>,
    /// The last byte was a carriage return; a line feed that follows belongs to it.
    after_return: bool,
    /// The message whose lines are coming, and whether it has data.
    current: Message,
    has_data: bool,
    ready: VecDeque<Message>,
}

impl Decoder {
    /// Takes the next bytes, cut anywhere.
    ///
    /// # Errors
    /// [`SseError`]; the stream cannot be read on after it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (head, tail) = rest.split_at(end);
            let (ending, tail) = tail.split_first().unwrap_or((&b'\n', tail));
            // The second half of a CRLF ends no line.
            let continues = *ending == b'\n' && self.after_return && head.is_empty();
            self.after_return = *ending == b'\r';
            if !continues {
                self.extend(head)?;
                self.end_line()?;
            }
            rest = tail;
        }
        self.after_return &= rest.is_empty();
        self.extend(rest)
    }

    /// The next whole message, if there is one.
    pub fn next_message(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.line.len() + bytes.len() > LIMIT {
            return Err(SseError::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), SseError> {
        let line = std::mem::take(&mut self.line);
        let line = str::from_utf8(&line).map_err(|_| SseError::NotUtf8)?;
        if line.is_empty() {
            self.end_message();
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.current.event),
            "id" => self.current.id = Some(value.to_owned()),
            "data" => {
                if self.current.data.len() + value.len() > LIMIT {
                    return Err(SseError::TooLong);
                }
                if self.has_data {
                    self.current.data.push('\n');
                }
                self.has_data = true;
                self.current.data.push_str(value);
            }
            // A comment (an empty field), or a field that is none of ours; the standard says to skip both.
            _ => {}
        }
        Ok(())
    }

    /// A message without data is dropped, as the standard says.
    fn end_message(&mut self) {
        let message = std::mem::take(&mut self.current);
        if std::mem::take(&mut self.has_data) {
            self.ready.push_back(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]]) -> Result<Vec<Message>, SseError> {
        let mut decoder = Decoder::default();
        for chunk in chunks {
            decoder.push(chunk)?;
        }
        Ok(std::iter::from_fn(|| decoder.next_message()).collect())
    }

    fn message(event: &str, id: Option<&str>, data: &str) -> Message {
        Message { event: event.to_owned(), id: id.map(str::to_owned), data: data.to_owned() }
    }

    const STREAM: &str = ": hello\n\nevent: event\nid: 7\ndata: {\"a\":1}\n\ndata:x\ndata:  y\nretry: 5\n\nevent: lost\n\ndata\n\ndata: cut";

    fn expected() -> Vec<Message> {
        vec![message("event", Some("7"), "{\"a\":1}"), message("", None, "x\n y"), message("", None, "")]
    }

    #[test]
    fn messages_come_out_whole() {
        assert_eq!(decode(&[STREAM.as_bytes()]), Ok(expected()));
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut_or_how_lines_end() {
        for ending in ["\n", "\r\n", "\r"] {
            let stream = STREAM.replace('\n', ending);
            for size in 1..9 {
                let chunks: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
                assert_eq!(decode(&chunks), Ok(expected()), "{ending:?} in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut decoder = Decoder::default();
        decoder.push(&vec![b'x'; LIMIT]).unwrap();
        assert_eq!(decoder.push(b"x"), Err(SseError::TooLong));
    }

    #[test]
    fn data_lines_without_end_are_refused() {
        let line = [b"data: ".as_slice(), &vec![b'x'; LIMIT / 2], b"\n"].concat();
        let mut decoder = Decoder::default();
        decoder.push(&line).unwrap();
        decoder.push(&line).unwrap();
        assert_eq!(decoder.push(b"data: x\n"), Err(SseError::TooLong));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(decode(&[b"data: \xff\n\n"]), Err(SseError::NotUtf8));
    }
}
