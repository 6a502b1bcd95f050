//! What one invocation logs: lines from `wasi:logging`, standard output and standard error, in order and bounded.
//!
//! Nothing beyond the bounds is kept even for a moment longer than the call that brought it, so that a flood costs the
//! guest its time and the host no memory.

use std::sync::Arc;

use hostel_event::handler::Limits;
use hostel_event::outcome::{Level, Log, LogLine, LogSource};
use hostel_event::port::Clock;
use hostel_event::time::Timestamp;

/// Collects lines until the bounds are reached and counts the rest.
pub(crate) struct Recorder {
    clock: Arc<dyn Clock>,
    log: Log,
    lines_left: usize,
    bytes_left: usize,
    stdout: Partial,
    stderr: Partial,
}

/// A line of a stream that has no end yet.
#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    /// Whether more came than could be kept.
    cut: bool,
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Recorder {
    pub(crate) fn new(limits: &Limits, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            log: Log::default(),
            lines_left: limits.log_lines,
            bytes_left: limits.log_bytes,
            stdout: Partial::default(),
            stderr: Partial::default(),
        }
    }

    /// The time by the clock that stamps the lines.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Takes a line from `wasi:logging`.
    pub(crate) fn log(&mut self, level: Level, context: &str, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        self.push(LogSource::Logging, level, context, text, false);
    }

    /// Takes a line that the host itself has to say.
    pub(crate) fn note(&mut self, level: Level, text: &str) {
        self.push(LogSource::Host, level, "", text, false);
    }

    /// Takes bytes that were written to a stream and makes lines of them.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut pieces = bytes.split(|&byte| byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = if self.lines_left == 0 { 0 } else { self.bytes_left };
            self.partial(stream).append(piece, room);
            if pieces.peek().is_some() {
                self.end_line(stream);
            }
        }
    }

    /// Ends the lines that the guest did not, and gives everything out.
    pub(crate) fn finish(&mut self) -> Log {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let partial = self.partial(stream);
            if partial.cut || !partial.bytes.is_empty() {
                self.end_line(stream);
            }
        }
        std::mem::take(&mut self.log)
    }

    fn partial(&mut self, stream: Stream) -> &mut Partial {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let Partial { bytes, cut } = std::mem::take(self.partial(stream));
        let bytes = if cut { without_half_character(&bytes) } else { bytes.strip_suffix(b"\r").unwrap_or(&bytes) };
        // What a program writes to standard error is meant for someone's eyes, and not always an error.
        let (source, level) = match stream {
            Stream::Stdout => (LogSource::Stdout, Level::Info),
            Stream::Stderr => (LogSource::Stderr, Level::Warn),
        };
        self.push(source, level, "", &String::from_utf8_lossy(bytes), cut);
    }

    /// Keeps a line, or as much as there is room for.
    fn push(&mut self, source: LogSource, level: Level, context: &str, text: &str, cut: bool) {
        let kept_context = cut_at(context, self.bytes_left);
        let kept_text = cut_at(text, self.bytes_left - kept_context.len());
        let is_whole = !cut && kept_context.len() == context.len() && kept_text.len() == text.len();
        let is_lost = self.lines_left == 0 || (!is_whole && kept_text.is_empty());
        if is_lost || !is_whole {
            // Nothing is kept from here on: a later line that happens to be short would stand after a gap that nothing
            // shows.
            self.log.cut += 1;
            (self.lines_left, self.bytes_left) = (0, 0);
        } else {
            self.lines_left -= 1;
            self.bytes_left -= kept_context.len() + kept_text.len();
        }
        if is_lost {
            return;
        }
        self.log.lines.push(LogLine {
            at: self.clock.wall(),
            level,
            source,
            context: kept_context.to_owned(),
            text: kept_text.to_owned(),
        });
    }
}

impl Partial {
    /// Appends as much of `piece` as keeps the line within `room`.
    fn append(&mut self, piece: &[u8], room: usize) {
        let kept = piece.get(..room.saturating_sub(self.bytes.len())).unwrap_or(piece);
        if !self.cut {
            self.bytes.extend_from_slice(kept);
        }
        self.cut |= kept.len() < piece.len();
    }
}

/// The longest beginning of `text` with at most `limit` bytes that ends between two characters.
pub(crate) fn cut_at(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

/// `bytes` without the beginning of a character that was cut off at its end.
fn without_half_character(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to()).unwrap_or(bytes),
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::support::FixedClock;

    fn recorder(log_lines: usize, log_bytes: usize) -> Recorder {
        Recorder::new(&Limits { log_lines, log_bytes, ..Limits::default() }, Arc::new(FixedClock))
    }

    fn texts(log: &Log) -> Vec<&str> {
        log.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn lines_are_made_of_pieces() {
        let mut recorder = recorder(9, 99);
        recorder.write(Stream::Stdout, b"one\ntw");
        recorder.write(Stream::Stderr, b"err");
        recorder.log(Level::Debug, "main", "between\n");
        recorder.write(Stream::Stdout, b"o\r\n\n\xff!");
        let log = recorder.finish();
        assert_eq!(texts(&log), ["one", "between", "two", "", "\u{fffd}!", "err"]);
        assert_eq!(log.cut, 0);
        assert_eq!(log.lines[1].context, "main");
        assert_eq!((log.lines[5].source, log.lines[5].level), (LogSource::Stderr, Level::Warn));
    }

    #[test]
    fn lines_beyond_the_bound_are_counted() {
        let mut recorder = recorder(2, 99);
        for _ in 0..5 {
            recorder.write(Stream::Stdout, b"x\n");
        }
        recorder.log(Level::Info, "", "y");
        let log = recorder.finish();
        assert_eq!((texts(&log), log.cut), (vec!["x", "x"], 4));
    }

    #[test]
    fn a_line_without_end_is_cut_and_not_kept_whole() {
        let mut recorder = recorder(9, 10);
        for _ in 0..1000 {
            recorder.write(Stream::Stdout, "ééé".as_bytes());
        }
        assert!(recorder.stdout.bytes.capacity() <= 64, "{}", recorder.stdout.bytes.capacity());
        recorder.write(Stream::Stdout, b"\nnext\n");
        let log = recorder.finish();
        assert_eq!((texts(&log), log.cut), (vec!["ééééé"], 2));
    }

    #[test]
    fn a_cut_falls_between_characters() {
        let mut recorder = recorder(9, 4);
        recorder.write(Stream::Stdout, "aéé".as_bytes());
        assert_eq!(texts(&recorder.finish()), ["aé"]);
        assert_eq!(cut_at("aé", 2), "a");
        assert_eq!(cut_at("aé", 99), "aé");
    }

    #[test]
    fn bytes_are_counted_over_all_lines_and_contexts() {
        let mut recorder = recorder(9, 10);
        recorder.log(Level::Info, "ctx", "1234");
        recorder.log(Level::Info, "ctx", "1234");
        recorder.log(Level::Info, "", "1");
        let log = recorder.finish();
        assert_eq!((texts(&log), log.cut), (vec!["1234"], 2));
    }
}
