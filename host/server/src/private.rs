//! Files that hold secrets of the host's own: its keys and its first token.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file that nobody else can read, not even for a moment, in the place of what is there.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    // One of another mode would keep it.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
