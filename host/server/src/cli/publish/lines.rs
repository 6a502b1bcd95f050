//! `hostel publish --lines`: each line of a file as a message, several on their way at the same time.
//!
//! A host that is full is given the time that it asks for. A line that the host refuses is told and counted, and the
//! others go on; only what would befall every line alike ends it early.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use hostel_api::client::{Client, ClientError, Publication};
use hostel_api::problem::Code;
use hostel_api::view::{PublishedView, SettledView};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::is_handled;
use crate::cli::failure::Failure;
use crate::cli::{output, text};

/// How many messages are on their way at the same time. Arbitrary: enough to hide the way there and back.
const IN_FLIGHT: usize = 32;
/// How long a message is offered to a host that is full. Arbitrary: longer than a slow handler's backlog lasts that is
/// worked off at all.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait where a full host does not say.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest line: far beyond what a host takes, and far below what would fill the memory.
const LINE_LIMIT: u64 = 64 * 1024 * 1024;
/// How many refusals are told one by one; the rest are counted.
const TOLD: u64 = 10;
/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(200);

/// What is made of each line.
pub(super) struct Plan {
    /// Everything but the body.
    pub(super) template: Publication,
    /// How long to wait for each to be settled, if at all.
    pub(super) wait: Option<Duration>,
    /// Whether to print a line of JSON for each.
    pub(super) json: bool,
}

/// What the host said to one line.
enum Answer {
    Published(PublishedView),
    Settled(SettledView),
}

/// How many came to what.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    published: u64,
    failed: u64,
    /// Of those published and waited for: acknowledged by all.
    handled: u64,
}

/// Publishes each line.
pub(super) async fn run(client: &Client, path: &Path, plan: &Plan) -> Result<(), Failure> {
    let mut lines: Box<dyn AsyncBufRead + Unpin + Send> = if path == Path::new("-") {
        Box::new(BufReader::new(tokio::io::stdin()))
    } else {
        let file = tokio::fs::File::open(path).await.map_err(|error| Failure::unreadable(path, &error))?;
        Box::new(BufReader::new(file))
    };
    let mut shown = Shown::new();
    let sent = send_all(client, &mut lines, path, plan, &mut shown).await;
    shown.clear();
    if shown.tally.failed > shown.told {
        output::talk(&format!("… and {} not told", text::counted(shown.tally.failed - shown.told, "refusal")));
    }
    output::talk(&summary(&shown.tally, plan.wait.is_some(), shown.began.elapsed()));
    sent?;
    let unhandled = plan.wait.is_some() && shown.tally.handled < shown.tally.published;
    if shown.tally.failed > 0 || unhandled { Err(Failure::Said) } else { Ok(()) }
}

async fn send_all(
    client: &Client,
    lines: &mut (dyn AsyncBufRead + Unpin + Send),
    path: &Path,
    plan: &Plan,
    shown: &mut Shown,
) -> Result<(), Failure> {
    let mut flights = JoinSet::new();
    let mut number = 0;
    let mut fatal = None;
    loop {
        let line = if fatal.is_none() { next_line(lines, path).await? } else { None };
        let ended = line.is_none();
        if let Some(body) = line {
            number += 1;
            if !body.is_empty() {
                let publication = super::typed(Publication { body: body.into(), ..plan.template.clone() });
                let (client, wait, number) = (client.clone(), plan.wait, number);
                flights.spawn(async move { (number, send(&client, &publication, wait).await) });
            }
        }
        while flights.len() >= IN_FLIGHT || (ended && !flights.is_empty()) {
            match flights.join_next().await {
                Some(Ok((number, Ok(answer)))) => shown.answered(number, &answer, plan.json)?,
                Some(Ok((_, Err(error)))) if is_fatal(&error) => {
                    shown.tally.failed += 1;
                    shown.told += 1;
                    fatal.get_or_insert(error);
                }
                Some(Ok((number, Err(error)))) => shown.refused(number, &error.into()),
                Some(Err(error)) => return Err(Failure::plain(format!("a task failed: {error}"))),
                None => break,
            }
        }
        if ended {
            return fatal.map_or(Ok(()), |error| Err(error.into()));
        }
    }
}

/// Sends one message, again and again while the host is full and patience lasts.
async fn send(client: &Client, publication: &Publication, wait: Option<Duration>) -> Result<Answer, ClientError> {
    let began = Instant::now();
    loop {
        let answer = match wait {
            None => client.publish(publication).await.map(Answer::Published),
            Some(wait) => client.publish_and_wait(publication, wait).await.map(Answer::Settled),
        };
        match answer {
            Err(ClientError::Problem { problem, retry_after })
                if problem.status == 429 && began.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(retry_after.unwrap_or(PAUSE)).await;
            }
            answer => return answer,
        }
    }
}

/// Whether it would befall every line alike.
fn is_fatal(error: &ClientError) -> bool {
    let same_for_all = [Code::MalformedTopic, Code::MalformedHeaders, Code::MalformedQuery, Code::ShuttingDown];
    match error {
        ClientError::Unreachable { .. } | ClientError::Invalid(_) | ClientError::Malformed { .. } => true,
        ClientError::Problem { problem, .. } => same_for_all.iter().any(|code| code.as_str() == problem.code),
        _ => false,
    }
}

/// The next line without its end; `None` after the last.
async fn next_line(lines: &mut (dyn AsyncBufRead + Unpin + Send), path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = (&mut *lines).take(LINE_LIMIT + 1).read_until(b'\n', &mut line).await;
    if read.map_err(|error| Failure::unreadable(path, &error))? == 0 {
        return Ok(None);
    }
    if line.len() as u64 > LINE_LIMIT {
        return Err(Failure::plain(format!("a line of `{}` has more than 64 MiB", path.display())));
    }
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    Ok(Some(line))
}

fn summary(tally: &Tally, waited: bool, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    // Below a millisecond a rate says nothing.
    let rate = if seconds < 0.001 { 0.0 } else { tally.published as f64 / seconds };
    let mut text = format!("published {} in {seconds:.1} s ({rate:.0}/s)", text::counted(tally.published, "event"));
    if tally.failed > 0 {
        text += &format!(", {} not published", tally.failed);
    }
    if waited {
        text += &format!(", {} handled, {} not", tally.handled, tally.published - tally.handled);
    }
    text
}

/// What the person sees meanwhile.
struct Shown {
    tally: Tally,
    /// Of those that failed: told one by one, or by the error that ended it all.
    told: u64,
    began: Instant,
    last: Instant,
    terminal: bool,
    /// Whether the reader of the output has gone.
    closed: bool,
}

impl Shown {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            tally: Tally::default(),
            told: 0,
            began: now,
            last: now,
            terminal: std::io::stderr().is_terminal(),
            closed: false,
        }
    }

    fn answered(&mut self, number: u64, answer: &Answer, json: bool) -> Result<(), Failure> {
        self.tally.published += 1;
        if json && !self.closed {
            let printed = match answer {
                Answer::Published(view) => output::json_line(view),
                Answer::Settled(view) => output::json_line(view),
            };
            match printed {
                // Whoever read along has seen enough. The rest is published all the same.
                Err(Failure::Closed) => self.closed = true,
                printed => printed?,
            }
        }
        if let Answer::Settled(view) = answer {
            let handled = is_handled(view);
            self.tally.handled += u64::from(handled);
            if !handled && !json && self.tally.published - self.tally.handled <= TOLD {
                self.clear();
                output::say(&format!("line {number}: {}", super::render(view)));
            }
        }
        self.progress();
        Ok(())
    }

    fn refused(&mut self, number: u64, failure: &Failure) {
        self.tally.failed += 1;
        if self.told < TOLD {
            self.told += 1;
            self.clear();
            // Only what happened: the same hint ten times over helps nobody.
            let told = failure.render().unwrap_or_default();
            output::talk(&format!("line {number}: {}", told.lines().next().unwrap_or_default()));
        }
        self.progress();
    }

    /// Shows how far it is, where someone looks on and not too often.
    fn progress(&mut self) {
        if self.terminal && self.last.elapsed() >= PROGRESS {
            self.last = Instant::now();
            output::say(&format!("\r{} published, {} not", self.tally.published, self.tally.failed));
        }
    }

    /// Wipes the progress line before something else is said.
    fn clear(&self) {
        if self.terminal {
            output::say("\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use hostel_api::client::Target;
    use hostel_api::problem::Problem;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn lines_come_without_their_ends() {
        let mut text: &[u8] = b"one\r\ntwo\n\nlast";
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut text, Path::new("a")).await.unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["one", "two", "", "last"]);
    }

    #[tokio::test]
    async fn a_full_host_is_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let full = serde_json::to_string(&Problem::new(Code::Overloaded, "`a/b:c` is full")).unwrap();
        let answers = [
            ("429 Too Many Requests", full.as_str()),
            ("202 Accepted", r#"{"id":"7","topic":"a","subscriptions":1}"#),
        ]
        .map(|(status, body)| {
            let length = body.len();
            format!(
                "HTTP/1.1 {status}\r\nretry-after: 0\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
        });
        let host = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"body") {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request ended early");
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let target = Target { admin: url.clone(), ingress: url, tenant: "default".to_owned() };
        let publication = Publication { topic: "a".to_owned(), body: "body".into(), ..Publication::default() };
        let answer = send(&Client::new(&target).unwrap(), &publication, None).await.unwrap();
        assert!(matches!(answer, Answer::Published(view) if view.id == "7"));
        host.await.unwrap();
    }

    #[test]
    fn the_end_is_summed_up() {
        let tally = Tally { published: 1000, failed: 2, handled: 990 };
        let check = |waited, expected: &str| assert_eq!(summary(&tally, waited, Duration::from_secs(2)), expected);
        check(false, "published 1000 events in 2.0 s (500/s), 2 not published");
        check(true, "published 1000 events in 2.0 s (500/s), 2 not published, 990 handled, 10 not");
        let none = summary(&Tally::default(), false, Duration::ZERO);
        assert_eq!(none, "published 0 events in 0.0 s (0/s)");
    }

    #[test]
    fn what_befalls_every_line_ends_it() {
        let check = |code, expected| {
            let problem = Box::new(Problem::new(code, "x"));
            assert_eq!(is_fatal(&ClientError::Problem { problem, retry_after: None }), expected, "{code}");
        };
        check(Code::MalformedTopic, true);
        check(Code::ShuttingDown, true);
        check(Code::BodyTooLarge, false);
        check(Code::Overloaded, false);
        assert!(is_fatal(&ClientError::Invalid("x".to_owned())));
    }
}
