//! Attempts as bytes: what a delivery that failed, and a dead letter, remember of each.

use std::time::Duration;

use hostel_event::name::Version;
use hostel_event::outcome::{Attempt, Fault, FaultKind, Level, Log, LogLine, LogSource, Outcome, Report, Usage};

use super::wire::{Reader, Unreadable, Writer};

const FORMAT: u8 = 1;

// The order of these is the format: a new kind goes to the end.
const KINDS: [FaultKind; 7] = [
    FaultKind::Trap,
    FaultKind::Deadline,
    FaultKind::Memory,
    FaultKind::Stack,
    FaultKind::Exit,
    FaultKind::Contract,
    FaultKind::Host,
];
const LEVELS: [Level; 6] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Critical];
const SOURCES: [LogSource; 4] = [LogSource::Logging, LogSource::Stdout, LogSource::Stderr, LogSource::Host];

/// Attempts, oldest first.
pub(crate) fn encode(attempts: &[Attempt]) -> Vec<u8> {
    let mut writer = Writer::new(FORMAT, 64 * attempts.len() + 2);
    writer.length(attempts.len());
    for attempt in attempts {
        writer.number(u64::from(attempt.number)).time(attempt.began).text(attempt.version.as_str());
        put_outcome(&mut writer, &attempt.report.outcome);
        put_log(&mut writer, &attempt.report.log);
        // What an event used beside these is summed where it is measured, and is no part of its history.
        let Usage { wall, peak_memory, .. } = attempt.report.usage;
        writer.number(u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX)).number(peak_memory as u64);
    }
    writer.done()
}

/// What [`encode`] wrote.
pub(crate) fn decode(record: &[u8]) -> Result<Vec<Attempt>, Unreadable> {
    let mut reader = Reader::new(record, FORMAT)?;
    let mut attempts = Vec::new();
    for _ in 0..reader.length()? {
        let (number, began) = (reader.small()?, reader.time()?);
        let version = Version::new(reader.text()?).map_err(|_| Unreadable("a handler's version is malformed"))?;
        let outcome = take_outcome(&mut reader)?;
        let log = take_log(&mut reader)?;
        let wall = Duration::from_nanos(reader.number()?);
        let peak_memory = usize::try_from(reader.number()?).unwrap_or(usize::MAX);
        let report = Report { outcome, log, usage: Usage { wall, peak_memory, ..Usage::default() } };
        attempts.push(Attempt { number, began, version, report });
    }
    reader.end()?;
    Ok(attempts)
}

fn put_outcome(writer: &mut Writer, outcome: &Outcome) {
    match outcome {
        Outcome::Ack => writer.byte(0),
        Outcome::Retry { reason, after } => {
            let after = after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX - 1));
            writer.byte(1).text(reason).optional(after)
        }
        Outcome::Reject { reason } => writer.byte(2).text(reason),
        Outcome::Fault(fault) => {
            writer.byte(3).byte(place(&KINDS, &fault.kind)).text(&fault.message);
            match &fault.stack {
                None => writer.byte(0),
                Some(stack) => writer.byte(1).text(stack),
            }
        }
    };
}

fn take_outcome(reader: &mut Reader<'_>) -> Result<Outcome, Unreadable> {
    Ok(match reader.byte()? {
        0 => Outcome::Ack,
        1 => {
            let reason = reader.text()?.to_owned();
            Outcome::Retry { reason, after: reader.optional()?.map(Duration::from_millis) }
        }
        2 => Outcome::Reject { reason: reader.text()?.to_owned() },
        3 => {
            let kind = one_of(&KINDS, reader.byte()?)?;
            let message = reader.text()?.to_owned();
            let stack = if reader.byte()? == 0 { None } else { Some(reader.text()?.to_owned()) };
            Outcome::Fault(Fault { kind, message, stack })
        }
        _ => return Err(Unreadable("an outcome is unknown")),
    })
}

fn put_log(writer: &mut Writer, log: &Log) {
    writer.length(log.lines.len());
    for line in &log.lines {
        writer.time(line.at).byte(place(&LEVELS, &line.level)).byte(place(&SOURCES, &line.source));
        writer.text(&line.context).text(&line.text);
    }
    writer.number(log.cut);
}

fn take_log(reader: &mut Reader<'_>) -> Result<Log, Unreadable> {
    let mut lines = Vec::new();
    for _ in 0..reader.length()? {
        let at = reader.time()?;
        let (level, source) = (one_of(&LEVELS, reader.byte()?)?, one_of(&SOURCES, reader.byte()?)?);
        let (context, text) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        lines.push(LogLine { at, level, source, context, text });
    }
    Ok(Log { lines, cut: reader.number()? })
}

/// The place of something in its list. Every kind there is stands in its list, which the tests see to.
fn place<T: PartialEq>(list: &[T], wanted: &T) -> u8 {
    let at = list.iter().position(|one| one == wanted);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn one_of<T: Copy>(list: &[T], place: u8) -> Result<T, Unreadable> {
    list.get(usize::from(place)).copied().ok_or(Unreadable("a kind is unknown"))
}

#[cfg(test)]
mod tests {
    use hostel_event::time::Timestamp;

    use super::*;

    fn attempt(outcome: Outcome) -> Attempt {
        let lines = LEVELS.iter().flat_map(|&level| SOURCES.map(|source| (level, source)));
        let line = |(level, source)| LogLine {
            at: Timestamp::from_millis(1_700_000_000_000),
            level,
            source,
            context: "c".to_owned(),
            text: "é".to_owned(),
        };
        let log = Log { lines: lines.map(line).collect(), cut: 7 };
        let usage = Usage { wall: Duration::from_nanos(1_234_567), peak_memory: 1 << 33, ..Usage::default() };
        let version = Version::new("1.2.3").unwrap();
        Attempt { number: 3, began: Timestamp::from_millis(9), version, report: Report { outcome, log, usage } }
    }

    #[test]
    fn every_kind_of_attempt_comes_back() {
        let mut outcomes = vec![
            Outcome::Ack,
            Outcome::Retry { reason: "later".to_owned(), after: None },
            Outcome::Retry { reason: String::new(), after: Some(Duration::from_millis(0)) },
            Outcome::Reject { reason: "no".to_owned() },
        ];
        for kind in KINDS {
            for stack in [None, Some("frame\nframe".to_owned())] {
                outcomes.push(Outcome::Fault(Fault { kind, message: "unreachable".to_owned(), stack }));
            }
        }
        let attempts: Vec<Attempt> = outcomes.into_iter().map(attempt).collect();
        let bytes = encode(&attempts);
        assert_eq!(decode(&bytes).unwrap(), attempts);
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(encode(&[]), [1, 0]);
    }
}
