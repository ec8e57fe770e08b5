//! A server of plain TCP between the program and an embedded API: it passes requests on, or answers them itself in
//! whatever way is wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::program::Api;

/// One request as it came.
pub struct Asked {
    /// The operation's name, from its header.
    pub operation: String,
    /// Head and body.
    pub whole: Vec<u8>,
}

/// What is done instead of passing a request on.
pub type Instead = Box<dyn FnOnce(&Asked, &mut TcpStream) + Send>;

/// The server, until the tests end.
pub struct Relay {
    /// Its address.
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    /// Passes on to `api` what `choose` has no other answer for.
    pub fn to(api: &Api, choose: impl Fn(&Asked) -> Option<Instead> + Send + Sync + 'static) -> Self {
        let behind = address_of(api);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let (asked, choose) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(choose));
        let seen = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, behind, choose, seen) = (stream.unwrap(), behind.clone(), choose.clone(), seen.clone());
                thread::spawn(move || serve(stream, &behind, &*choose, &seen));
            }
        });
        Self { url, asked }
    }

    /// Passes everything on to `api`, and its answers back without the header `name`.
    pub fn without_header(api: &Api, name: &'static str) -> Self {
        let behind = address_of(api);
        Self::to(api, move |_| {
            let behind = behind.clone();
            Some(Box::new(move |asked, stream| {
                let Some(answer) = passed_on(asked, &behind) else { return };
                let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
                let lines = String::from_utf8_lossy(&answer[..head]).into_owned();
                let is_kept = |line: &&str| !line.to_ascii_lowercase().starts_with(&format!("{name}:"));
                let kept: Vec<&str> = lines.split("\r\n").filter(is_kept).collect();
                let mut bytes = format!("{}\r\nconnection: close", kept.join("\r\n")).into_bytes();
                bytes.extend_from_slice(&answer[head..]);
                // A client that has gone is no trouble of this server.
                let _ = stream.write_all(&bytes);
            }))
        })
    }

    /// How often an operation was asked for.
    pub fn asked(&self, operation: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == operation).count()
    }
}

fn serve(mut stream: TcpStream, behind: &str, choose: &dyn Fn(&Asked) -> Option<Instead>, seen: &Mutex<Vec<String>>) {
    while let Some(whole) = message(&mut stream) {
        let asked = Asked { operation: header(&whole, "x-graphql-operation-name").unwrap_or_default(), whole };
        seen.lock().unwrap().push(asked.operation.clone());
        if let Some(instead) = choose(&asked) {
            return instead(&asked, &mut stream);
        }
        let Some(answer) = passed_on(&asked, behind) else { return };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// The answer of the API at the address `behind`.
fn passed_on(asked: &Asked, behind: &str) -> Option<Vec<u8>> {
    let mut api = TcpStream::connect(behind).unwrap();
    api.write_all(&asked.whole).unwrap();
    message(&mut api)
}

fn address_of(api: &Api) -> String {
    api.url.strip_prefix("http://").and_then(|url| url.split('/').next()).unwrap().to_owned()
}

/// A whole message with its body; none at the end of the connection.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut whole, mut buffer) = (Vec::new(), [0; 64 * 1024]);
    loop {
        let head = whole.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(head) = head {
            let body = header(&whole, "content-length").map_or(0, |length| length.parse::<usize>().unwrap());
            if whole.len() >= head + 4 + body {
                return Some(whole);
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => whole.extend_from_slice(&buffer[..count]),
        }
    }
}

fn header(message: &[u8], name: &str) -> Option<String> {
    let head = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(message.len());
    let head = String::from_utf8_lossy(&message[..head]).into_owned();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
}

/// A whole answer.
pub fn answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// Says these bytes as they are, and closes.
pub fn says(bytes: impl Into<Vec<u8>>) -> Option<Instead> {
    let bytes = bytes.into();
    // A client that has gone is no trouble of this server.
    Some(Box::new(move |_, stream| drop(stream.write_all(&bytes))))
}
