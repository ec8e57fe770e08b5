//! The sandbox on a port: faults on the wire.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Api;
use crate::sandbox::{Fault, FaultKind};

/// A served sandbox, and how to end it.
struct Served {
    api: Api,
    port: u16,
    end: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn new() -> Self {
        let api = Api::plain();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (end, ended) = oneshot::channel();
        let server = tokio::spawn(api.sandbox.clone().serve(listener, async {
            let _ = ended.await;
        }));
        Self { api, port, end, server }
    }

    /// Sends one import and reads until the connection ends, or for a moment.
    async fn import(&self) -> (Vec<u8>, Option<std::io::ErrorKind>) {
        let body = json!({ "query": super::document("ImportCustomerBulk"),
            "variables": { "input": { "customers": [{ "customerId": "ada" }] } } });
        self.send("POST /graphql", &body.to_string()).await
    }

    async fn send(&self, what: &str, body: &str) -> (Vec<u8>, Option<std::io::ErrorKind>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let head = format!(
            "{what} HTTP/1.1\r\nhost: x\r\nx-api-key: server-a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_millis(300), stream.read_to_end(&mut answer)).await;
        let end = match read {
            Err(_) => Some(std::io::ErrorKind::TimedOut),
            Ok(read) => read.err().map(|error| error.kind()),
        };
        (answer, end)
    }

    async fn end(self) {
        self.end.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(5), self.server).await.expect("ends").unwrap().unwrap();
    }
}

#[tokio::test]
async fn requests_are_answered() {
    let served = Served::new().await;

    let (answer, end) = served.import().await;

    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("{\"data\":{\"importCustomersBulk\":null}}"), "{text}");
    assert_eq!(end, None);
    assert!(text.contains("\r\ndate: Mon, 01 Jun 2026 12:00:0"), "by the environment's clock: {text}");
    let (health, _) = served.send("GET /healthz", "").await;
    assert!(String::from_utf8(health).unwrap().ends_with("ok"));
    served.end().await;
}

#[tokio::test]
async fn a_lost_answer_resets_the_connection_after_the_work() {
    for (kind, customers) in [(FaultKind::LostAnswer, 1), (FaultKind::ResetBefore, 0)] {
        let served = Served::new().await;
        served.api.inject(Fault::once(kind));

        let (answer, end) = served.import().await;

        assert_eq!((answer.len(), end), (0, Some(std::io::ErrorKind::ConnectionReset)), "{kind:?}");
        assert_eq!(served.api.sandbox.snapshot().customers.len(), customers);
        served.end().await;
    }
}

#[tokio::test]
async fn a_truncated_body_ends_in_the_middle() {
    let served = Served::new().await;
    served.api.inject(Fault::once(FaultKind::Truncated));

    let (answer, _) = served.import().await;

    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert!(!body.is_empty() && body.len() < length, "{text}");
    served.end().await;
}

#[tokio::test]
async fn silence_lasts_until_the_server_ends() {
    let served = Served::new().await;
    served.api.inject(Fault::once(FaultKind::SilentAfter));

    let (answer, end) = served.import().await;

    assert_eq!((answer.len(), end), (0, Some(std::io::ErrorKind::TimedOut)));
    assert_eq!(served.api.sandbox.snapshot().customers.len(), 1);
    served.end().await;
}
