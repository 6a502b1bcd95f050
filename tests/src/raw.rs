//! Requests byte by byte, for what no client would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::host::PATIENCE;

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, in lower case, the status line first.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Sends bytes on a connection of their own and reads whatever comes back until the host closes it.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.expect("the host listens");
    // The host may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    read_answer(&mut stream).await
}

/// Reads until the other side closes.
pub async fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut received = Vec::new();
    // A reset after the answer is the end all the same.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("an answer in time");
    let text = String::from_utf8_lossy(&received).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

/// Reads one answer that says its length, and leaves the connection open; `None` if it is closed before.
pub async fn read_one(stream: &mut TcpStream) -> Option<Answer> {
    let head = read_until(stream, "\r\n\r\n").await?.trim_end().to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("it says its length");
    let mut body = vec![0; length.parse().expect("a number")];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut body)).await.expect("an answer in time").ok()?;
    Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Reads until what came ends in `end`; `None` if the other side closes before.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> Option<String> {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await.expect("an answer in time");
        if read.ok()? == 0 {
            return None;
        }
        text.push(char::from(byte[0]));
    }
    Some(text)
}

/// A request of HTTP/1.1 that asks for the connection to be closed after it.
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: hostel\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
