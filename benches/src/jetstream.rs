//! The peer of the durable rows: NATS JetStream with its file store, one replica, every write synced before it is
//! answered.
//!
//! Spoken to as its protocol says, over one connection for each publisher, which waits for each answer. The server is
//! whatever `nats-server` is installed; one before 2.10 cannot sync each write and is left out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use crate::scale::Scale;
use crate::store::BODY;

const PROGRAM: &str = "nats-server";
const SUBJECT: &str = "orders.created";
/// Where answers come to; each connection has its own.
const INBOX: &str = "_INBOX.bench";

/// A server that runs, with its stream.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts one that keeps its data in this folder.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let (config, ports) = (folder.join("nats.conf"), folder.join("nats-ports"));
        std::fs::create_dir_all(&ports)?;
        let text = json!({
            "host": "127.0.0.1",
            "port": -1,
            "ports_file_dir": ports,
            "jetstream": { "store_dir": folder.join("nats"), "sync_interval": "always" },
        });
        std::fs::write(&config, text.to_string())?;
        let checked = Command::new(PROGRAM).arg("-t").arg("-c").arg(&config).output();
        let checked = checked.context("there is no `nats-server`; cure: install 2.10 or newer")?;
        let said = String::from_utf8_lossy(&checked.stderr);
        ensure!(
            checked.status.success(),
            "this `nats-server` cannot sync each write (`sync_interval`); cure: install 2.10 or newer: {}",
            said.trim()
        );
        let mut command = Command::new(PROGRAM);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("cannot start `nats-server`")?;
        let mut server = Self { child, port: 0 };
        server.port = port(&ports)?;
        let stream = json!({ "name": "BENCH", "subjects": [SUBJECT], "storage": "file", "num_replicas": 1 });
        let answer = server.connect()?.ask("$JS.API.STREAM.CREATE.BENCH", stream.to_string().as_bytes())?;
        ensure!(answer.get("error").is_none(), "`nats-server` made no stream: {answer}");
        Ok(server)
    }

    /// Publishes so many events to the empty stream, over connections that are open before the clock starts.
    pub(crate) fn race(&self, publishers: usize, events: usize) -> Result<Duration> {
        let answer = self.connect()?.ask("$JS.API.STREAM.PURGE.BENCH", b"")?;
        ensure!(answer.get("error").is_none(), "`nats-server` did not empty its stream: {answer}");
        let connections = (0..publishers).map(|_| self.connect()).collect::<Result<Vec<_>>>()?;
        let (taken, barrier) = (AtomicUsize::new(0), Barrier::new(publishers + 1));
        thread::scope(|scope| {
            let (taken, barrier) = (&taken, &barrier);
            let work = move |mut connection: Connection| -> Result<()> {
                barrier.wait();
                while taken.fetch_add(1, Ordering::Relaxed) < events {
                    let answer = connection.ask(SUBJECT, &[7; BODY])?;
                    ensure!(answer.get("seq").is_some(), "`nats-server` did not keep it: {answer}");
                }
                Ok(())
            };
            let start = |connection| scope.spawn(move || work(connection));
            let threads: Vec<_> = connections.into_iter().map(start).collect();
            barrier.wait();
            let began = Instant::now();
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a publisher panicked"))??;
            }
            Ok(began.elapsed())
        })
    }

    fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).context("cannot connect to `nats-server`")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Scale::PATIENCE))?;
        let mut connection = Connection { writer: stream.try_clone()?, reader: BufReader::new(stream) };
        let greeting = connection.line()?;
        ensure!(greeting.starts_with("INFO "), "`nats-server` greets with {greeting:?}");
        // Made of its own port, so that no other connection hears it.
        let inbox = connection.inbox()?;
        write!(connection.writer, "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {inbox} 1\r\n")?;
        Ok(connection)
    }
}

impl Drop for Server {
    /// An error means that it has ended already.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port that the server says it listens on, once it does.
#[expect(clippy::disallowed_methods, reason = "no guest waits for this thread: the program only measures")]
fn port(folder: &Path) -> Result<u16> {
    let began = Instant::now();
    while began.elapsed() < Scale::PATIENCE {
        for entry in std::fs::read_dir(folder)? {
            let text = std::fs::read_to_string(entry?.path())?;
            // Half a file is no document; the next look sees the rest.
            let Ok(said) = serde_json::from_str::<Value>(&text) else { continue };
            let address = said.pointer("/nats/0").and_then(Value::as_str).context("`nats-server` has no port")?;
            let (_, port) = address.rsplit_once(':').context("`nats-server` has no port")?;
            return Ok(port.parse()?);
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("`nats-server` did not listen in time")
}

struct Connection {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Publishes with the inbox for an answer, and waits for that.
    fn ask(&mut self, subject: &str, body: &[u8]) -> Result<Value> {
        let mut request = format!("PUB {subject} {} {}\r\n", self.inbox()?, body.len()).into_bytes();
        request.extend_from_slice(body);
        request.extend_from_slice(b"\r\n");
        self.writer.write_all(&request)?;
        loop {
            let line = self.line()?;
            if line == "PING" {
                self.writer.write_all(b"PONG\r\n")?;
                continue;
            }
            let length = line.strip_prefix("MSG ").and_then(|rest| rest.rsplit(' ').next()?.parse::<usize>().ok());
            let Some(length) = length else { bail!("`nats-server` says {line:?}") };
            ensure!(length <= 1024 * 1024, "`nats-server` answers with {length} bytes");
            let mut answer = vec![0; length + 2];
            self.reader.read_exact(&mut answer)?;
            answer.truncate(length);
            return Ok(serde_json::from_slice(&answer)?);
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "`nats-server` closed the connection");
        Ok(line.trim_end().to_owned())
    }

    fn inbox(&self) -> Result<String> {
        Ok(format!("{INBOX}.{}", self.writer.local_addr()?.port()))
    }
}
