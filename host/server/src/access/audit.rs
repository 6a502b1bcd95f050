//! The audit log: who changed what, and what came of it, as lines of JSON in `audit.jsonl` of the data directory.
//!
//! Bounded: a file that is full becomes `audit.1.jsonl` and the oldest of those goes. The newest lines are in memory too,
//! from where they are read. A line is written once the request is answered; if whoever asked left before that, with
//! status 499, since what was begun may go on.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use futures_util::StreamExt;
use http::Response;
use parking_lot::Mutex;

use hostel_api::time::rfc3339;
use hostel_api::token::AuditView;
use hostel_event::time::Timestamp;

use super::Identity;
use crate::answer::Refused;
use crate::telemetry;

/// Bytes of a file. Arbitrary: some 30,000 lines.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Files beside the one that is written.
const OLD_FILES: usize = 4;
/// Lines in memory. Arbitrary: some megabytes.
const LINES: usize = 10_000;
/// The most characters of what comes from outside in a line.
const TEXT: usize = 300;
/// The status of an answer that nobody waited for, as nginx writes it.
const LEFT: u16 = 499;

/// What is to be written down of a request before it is known what comes of it.
pub(super) struct What<'a> {
    pub(super) who: &'a Identity,
    pub(super) from: SocketAddr,
    pub(super) action: &'static str,
    pub(super) tenant: Option<String>,
    pub(super) target: Option<String>,
    pub(super) at: Timestamp,
}

/// What more there is to say of something that was done; put into an answer's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Detail(pub(crate) String);

/// What will have come of a request whose answer is followed: its ordinary answer, without the body. Put into an answer's
/// extensions; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Awaited(Arc<OnceLock<Response<()>>>);

impl Awaited {
    /// It has come. Said once.
    pub(crate) fn set(&self, outcome: Response<()>) {
        // A second time would be no other outcome.
        let _ = self.0.set(outcome);
    }

    pub(crate) fn get(&self) -> Option<&Response<()>> {
        self.0.get()
    }
}

/// See the module's page. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(crate) struct Audit {
    book: Arc<Mutex<Book>>,
}

impl Audit {
    /// Goes on with what was written before.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        Ok(Self { book: Arc::new(Mutex::new(Book::open(data_dir.to_owned())?)) })
    }

    /// Begins a line.
    pub(super) fn begin(&self, what: What<'_>) -> Begun {
        let (by, name) = match what.who {
            Identity::Nobody => ("nobody".to_owned(), None),
            Identity::Local => ("local".to_owned(), None),
            Identity::Holder(token) => (format!("token {}", token.id), Some(token.name.clone())),
        };
        let line = AuditView {
            id: 0,
            at: rfc3339(what.at.as_millis()),
            by,
            name,
            from: what.from.ip().to_string(),
            action: what.action.to_owned(),
            tenant: what.tenant.map(cut),
            target: what.target.map(cut),
            detail: None,
            status: LEFT,
            code: None,
        };
        Begun { audit: self.clone(), line: Some(line), awaited: None }
    }

    /// The newest lines, newest first: at most `limit`, of one tenant if given, older than `before` if given.
    pub(crate) fn read(&self, tenant: Option<&str>, before: Option<u64>, limit: usize) -> Vec<AuditView> {
        let book = self.book.lock();
        let wanted = |line: &&AuditView| {
            before.is_none_or(|before| line.id < before)
                && tenant.is_none_or(|tenant| line.tenant.as_deref() == Some(tenant))
        };
        book.lines.iter().rev().filter(wanted).take(limit).cloned().collect()
    }

    fn write(&self, line: AuditView) {
        if let Err(error) = self.book.lock().append(line) {
            telemetry::internal_error(&format!("cannot write to the audit log: {error}"));
        }
    }
}

/// A line that waits for its end, and is written when it is dropped. Unless it was ended, it says that nobody waited.
pub(super) struct Begun {
    audit: Audit,
    line: Option<AuditView>,
    /// What will have come of it, where its answer is followed.
    awaited: Option<Awaited>,
}

impl Begun {
    /// Writes it, with what came of it, and gives the answer back. What comes of an answer that is followed is written
    /// before its last message goes out, so that whoever has that finds the line; or when they leave without it.
    pub(super) async fn answered(mut self, response: Response<Body>) -> Response<Body> {
        self.awaited = response.extensions().get::<Awaited>().cloned();
        if self.awaited.is_none() {
            self.note(&response);
            self.end().await;
            return response;
        }
        let (head, body) = response.into_parts();
        let state = (body.into_data_stream(), Some(self));
        let body = futures_util::stream::unfold(state, |(mut chunks, mut begun)| async move {
            let chunk = chunks.next().await?;
            if let Some(begun) = begun.take_if(|begun| begun.outcome().is_some()) {
                begun.end().await;
            }
            Some((chunk, (chunks, begun)))
        });
        Response::from_parts(head, Body::from_stream(body))
    }

    /// What came of it.
    fn note<B>(&mut self, response: &Response<B>) {
        if let Some(line) = &mut self.line {
            line.status = response.status().as_u16();
            line.code = response.extensions().get::<Refused>().map(|Refused(code)| code.clone());
            line.detail = response.extensions().get::<Detail>().map(|Detail(text)| cut(text.clone()));
        }
    }

    /// What came of it by now, where that is awaited.
    fn outcome(&self) -> Option<&Response<()>> {
        self.awaited.as_ref().and_then(Awaited::get)
    }

    /// Writes it, off the threads that serve.
    async fn end(self) {
        // It waits for the disk. A panic in it has been told already.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let awaited = self.awaited.take();
        if let Some(outcome) = awaited.as_ref().and_then(Awaited::get) {
            self.note(outcome);
        }
        if let Some(line) = self.line.take() {
            self.audit.write(line);
        }
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT) {
        Some((at, _)) => text.get(..at).unwrap_or_default().to_owned() + "…",
        None => text,
    }
}

/// The file, and its newest lines.
struct Book {
    folder: PathBuf,
    file: File,
    bytes: u64,
    lines: VecDeque<AuditView>,
    last: u64,
}

impl Book {
    fn open(folder: PathBuf) -> io::Result<Self> {
        let mut lines = VecDeque::new();
        for number in (0..=OLD_FILES).rev() {
            for line in read(&path(&folder, number))? {
                if lines.len() == LINES {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        }
        let mut file = opened(&folder)?;
        let bytes = file.metadata()?.len();
        // A line that a crash cut off must not take the next one with it. It is passed over when it is read.
        if bytes > 0 {
            file.write_all(b"\n")?;
        }
        let last = lines.iter().map(|line| line.id).max().unwrap_or(0);
        Ok(Self { folder, file, bytes: bytes + 1, lines, last })
    }

    /// Returns once it is on the disk.
    fn append(&mut self, mut line: AuditView) -> io::Result<()> {
        self.last += 1;
        line.id = self.last;
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if self.bytes.saturating_add(length) > FILE_BYTES {
            self.turn()?;
        }
        self.file.write_all(&text)?;
        self.bytes += length;
        self.file.sync_data()
    }

    /// Begins a new file.
    fn turn(&mut self) -> io::Result<()> {
        for number in (0..OLD_FILES).rev() {
            match fs::rename(path(&self.folder, number), path(&self.folder, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = opened(&self.folder)?;
        self.bytes = 0;
        Ok(())
    }
}

fn path(folder: &Path, number: usize) -> PathBuf {
    match number {
        0 => folder.join("audit.jsonl"),
        number => folder.join(format!("audit.{number}.jsonl")),
    }
}

fn opened(folder: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(0o600).open(path(folder, 0))
}

/// The lines of a file; what is none, as the end that a crash cut off, is passed over.
fn read(path: &Path) -> io::Result<Vec<AuditView>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut lines = Vec::new();
    for line in io::BufReader::new(file).split(b'\n') {
        if let Ok(line) = serde_json::from_slice(&line?) {
            lines.push(line);
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(audit: &Audit, tenant: Option<&str>, target: &str) -> Begun {
        audit.begin(What {
            who: &Identity::Local,
            from: SocketAddr::from(([127, 0, 0, 1], 9)),
            action: "deploy",
            tenant: tenant.map(str::to_owned),
            target: Some(target.to_owned()),
            at: Timestamp::from_millis(0),
        })
    }

    fn targets(lines: &[AuditView]) -> Vec<&str> {
        lines.iter().filter_map(|line| line.target.as_deref()).collect()
    }

    #[tokio::test]
    async fn lines_are_read_newest_first_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        {
            let audit = Audit::open(folder.path()).unwrap();
            for (tenant, target) in [("acme", "a"), ("globex", "b"), ("acme", "c")] {
                begun(&audit, Some(tenant), target).answered(Response::default()).await;
            }
        }
        // As a crash in the middle of a line leaves it.
        File::options().append(true).open(path(folder.path(), 0)).unwrap().write_all(b"{\"id\":9,").unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        begun(&audit, Some("acme"), "d").answered(Response::default()).await;
        let audit = Audit::open(folder.path()).unwrap();
        assert_eq!(targets(&audit.read(None, None, 10)), ["d", "c", "b", "a"]);
        assert_eq!(targets(&audit.read(Some("acme"), None, 2)), ["d", "c"]);
        let before = audit.read(None, None, 1).first().map(|line| line.id);
        assert_eq!(targets(&audit.read(None, before, 10)), ["c", "b", "a"]);
    }

    #[test]
    fn a_request_that_nobody_waited_for_is_written_down_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        drop(begun(&audit, None, "a"));
        let lines = audit.read(None, None, 10);
        assert_eq!((lines.len(), lines[0].status), (1, LEFT));
    }

    #[tokio::test]
    async fn what_came_of_a_request_is_written_down_though_nobody_read_the_end_of_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        for done in [true, false] {
            let awaited = Awaited::default();
            let mut response = Response::new(Body::from("first"));
            response.extensions_mut().insert(awaited.clone());
            let response = begun(&audit, None, "a").answered(response).await;
            if done {
                let mut outcome = Response::new(());
                *outcome.status_mut() = http::StatusCode::CREATED;
                awaited.set(outcome);
            }
            drop(response);
        }
        let lines = audit.read(None, None, 10);
        assert_eq!(lines.iter().map(|line| line.status).collect::<Vec<_>>(), [LEFT, 201]);
    }

    #[test]
    fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book::open(folder.path().to_owned()).unwrap();
        let audit = Audit { book: Arc::new(Mutex::new(Book::open(folder.path().to_owned()).unwrap())) };
        for _ in 0..OLD_FILES + 3 {
            book.bytes = FILE_BYTES;
            book.append(begun(&audit, None, &"x".repeat(1000)).line.take().unwrap()).unwrap();
        }
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, OLD_FILES + 1);
        assert!(
            book.lines.iter().all(|line| line.target.as_ref().is_some_and(|text| text.chars().count() == TEXT + 1))
        );
    }
}
