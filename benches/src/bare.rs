//! `bench bare-hyper`: the limit of the HTTP rows. A server that reads a request's whole body and answers, and does
//! nothing else; in a process of its own, as the host is.
//!
//! `POST /{n}` is answered 202 with a body of `n` bytes. The address it listens on is the first line of standard
//! output; it ends when standard input does.

use std::convert::Infallible;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::work;

/// The name of the subcommand.
pub(crate) const COMMAND: &str = "bare-hyper";

static ANSWER: [u8; 64 * 1024] = [b' '; 64 * 1024];

/// Serves until standard input ends.
pub(crate) fn serve() -> Result<()> {
    // As many workers as the machine has cores: what the host's own runtime has.
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = tokio.block_on(TcpListener::bind(("127.0.0.1", 0))).context("cannot listen")?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?)?;
    stdout.flush()?;
    tokio.spawn(accept(listener));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client for which that fails is gone.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        // It ends when the client closes it.
        tokio::spawn(connection);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let wanted = request.uri().path().trim_start_matches('/').parse().ok().and_then(|n: usize| ANSWER.get(..n));
    let whole = request.into_body().collect().await;
    let (status, body) = match (wanted, whole) {
        (Some(body), Ok(_)) => (StatusCode::ACCEPTED, Bytes::from_static(body)),
        _ => (StatusCode::BAD_REQUEST, Bytes::new()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(work::CONTENT_TYPE));
    Ok(response)
}

/// The server's process.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Bare {
    /// Starts this very program again as the server.
    pub(crate) fn start() -> Result<Self> {
        let program = env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the bare server")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse().with_context(|| format!("the bare server said {line:?}, not where it is"))?;
        Ok(Self { child, address })
    }
}

impl Drop for Bare {
    /// An error means that it has ended already.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
