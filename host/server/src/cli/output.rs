//! Printing, all of it: data to stdout, talk to stderr.

use std::io::{self, Write};

use serde::Serialize;

use super::failure::Failure;

/// Writes data, as it is.
///
/// # Errors
/// [`Failure::Closed`] when the reader of a pipe has gone.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    write_to(&mut io::stdout().lock(), text)
}

/// Writes a whole document of JSON.
///
/// # Errors
/// As for [`data`].
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::plain(error.to_string()))?;
    data(&format!("{text}\n"))
}

/// Writes one line of JSON.
///
/// # Errors
/// As for [`data`].
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::plain(error.to_string()))?;
    data(&format!("{text}\n"))
}

/// Says something to the person, in a line of its own.
pub(crate) fn talk(text: &str) {
    say(&format!("{text}\n"));
}

/// Says something without ending the line, such as progress.
pub(crate) fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    // If stderr is gone there is nobody left to tell.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn write_to(stdout: &mut impl Write, text: &str) -> Result<(), Failure> {
    // Flushed each time: a reader of a followed stream wants each line when it comes.
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::plain(format!("cannot write to standard output: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        let closed = write_to(&mut Failing(io::ErrorKind::BrokenPipe), "a").unwrap_err();
        assert_eq!(closed.render(), None);
        assert_eq!(closed.exit_code(), ExitCode::SUCCESS);
        let full = write_to(&mut Failing(io::ErrorKind::StorageFull), "a").unwrap_err();
        assert_eq!(full.render().as_deref(), Some("error: cannot write to standard output: no storage space"));
        assert_eq!(full.exit_code(), ExitCode::FAILURE);
    }
}
