//! A server for tests: gives the answers it was told to, in order, and keeps the requests as they came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An answer.
#[derive(Debug, Clone)]
pub struct Scripted(Option<Reply>);

#[derive(Debug, Clone)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Scripted {
    /// This body with this status.
    pub fn json(status: u16, body: &str) -> Self {
        Self(Some(Reply { status, headers: Vec::new(), body: body.to_owned() }))
    }

    /// The connection is closed without an answer.
    pub fn cut() -> Self {
        Self(None)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(reply) = &mut self.0 {
            reply.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Method and target.
    pub line: String,
    /// The body.
    pub body: String,
    headers: Vec<(String, String)>,
}

impl Recorded {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The server. It lives as long as the test's runtime.
#[derive(Debug, Clone)]
pub struct Recorder {
    address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
}

impl Recorder {
    /// Starts one. After the last answer connections are cut.
    pub async fn start(answers: Vec<Scripted>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let recorder = Self { address: listener.local_addr().expect("an address"), requests: Arc::default() };
        let requests = recorder.requests.clone();
        tokio::spawn(async move {
            let mut answers = VecDeque::from(answers);
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = read(&mut stream).await else { continue };
                requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                let Some(Scripted(Some(Reply { status, headers, body }))) = answers.pop_front() else { continue };
                let mut text =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                // Who went away needs no answer.
                let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes()).await;
            }
        });
        recorder
    }

    /// Its address, with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Recorded> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut lines = text.split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(Some(0), |(_, n)| n.parse().ok())?;
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Recorded { line, headers, body: String::from_utf8(bytes[head + 4..].to_vec()).ok()? })
}
