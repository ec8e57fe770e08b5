use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const KEY: &str = "server-hunter2";

fn transport(port: u16, configure: impl FnOnce(&mut HttpSettings)) -> HttpTransport {
    let endpoint = Endpoint::parse(&format!("http://localhost:{port}/graphql?token=hunter3")).unwrap();
    let mut settings = HttpSettings::new(endpoint, KEY.into());
    configure(&mut settings);
    HttpTransport::new(settings).unwrap()
}

/// A server that takes one request whole and answers `answer` as it stands, then closes.
async fn server(answer: &'static [u8]) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"BODY") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
        }
        stream.write_all(answer).await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    (port, seen)
}

fn all_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{error:?} {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(" {cause:?} {cause}"));
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn a_request_carries_key_operation_and_type_and_its_answer_comes_back_whole() {
    let (port, seen) = server(b"HTTP/1.1 429 Too Many\r\nretry-after: 2\r\ncontent-length: 2\r\n\r\n{}").await;
    let answer = transport(port, |_| {}).post("ReportUsageBulk", b"BODY".to_vec().into()).await.unwrap();
    assert_eq!(
        answer,
        HttpAnswer { status: 429, retry_after: Some(Duration::from_secs(2)), date: None, body: "{}".into() }
    );
    let seen = seen.await.unwrap();
    for header in [
        "POST /graphql",
        "x-api-key: server-hunter2\r\n",
        "x-graphql-operation-name: ReportUsageBulk\r\n",
        "content-type: application/json\r\n",
        "user-agent: stigg-import/",
    ] {
        assert!(seen.contains(header), "{header} in {seen}");
    }
}

/// A server that is told the length can refuse what is too large before it reads it, and some take no chunks at all.
#[tokio::test]
async fn a_body_in_parts_goes_out_in_order_with_its_length_and_not_in_chunks() {
    let (port, seen) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    // Larger than what a socket takes at once.
    let records = Bytes::from(vec![b'r'; 4 << 20]);
    let body = RequestBody::of(["[".into(), records.clone(), "BODY".into()]);

    transport(port, |_| {}).post("X", body).await.unwrap();

    assert!(records.is_unique(), "with the answer the request is done, and its buffers can be used again");
    let seen = seen.await.unwrap();
    let (headers, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(headers.contains("\r\ncontent-length: 4194309"), "{headers}");
    assert!(!headers.contains("transfer-encoding"), "{headers}");
    assert!(body.starts_with("[r") && body.ends_with("rBODY") && body.len() == 4_194_309, "{} bytes", body.len());
}

#[tokio::test]
async fn an_answer_in_many_pieces_is_whole_however_its_end_is_said() {
    let body = "0123456789".repeat(100_000);
    let heads = [
        "content-length: 1000000\r\n\r\n".to_owned(),
        "connection: close\r\n\r\n".to_owned(),
        "transfer-encoding: chunked\r\n\r\nF4240\r\n".to_owned(),
    ];
    for (head, tail) in heads.into_iter().zip(["", "", "\r\n0\r\n\r\n"]) {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}{body}{tail}");
        let (port, _seen) = server(answer.leak().as_bytes()).await;
        let answer = transport(port, |_| {}).post("X", b"BODY".to_vec().into()).await.unwrap();
        assert!(answer.body == body.as_bytes(), "{} bytes", answer.body.len());
    }
}

/// The next request goes over the same connection, after an answer that was one piece and after one that was many.
#[tokio::test]
async fn a_connection_is_used_again_after_its_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for bytes in [2, 100_000, 2] {
            let mut seen = Vec::new();
            while !seen.ends_with(b"BODY") {
                assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "it was closed");
            }
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{}", "x".repeat(bytes));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let transport = transport(port, |_| {});
    for bytes in [2, 100_000, 2] {
        let answer = transport.post("X", b"BODY".to_vec().into()).await.unwrap();
        assert_eq!(answer.body.len(), bytes);
    }
    connections.await.unwrap();
}

/// A request that could not go out over a connection which the server closed meanwhile goes over a new one.
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_request() {
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut closed = Some(closed);
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"BODY") {
                assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            drop(stream);
            if let Some(closed) = closed.take() {
                closed.send(()).unwrap();
            }
        }
    });
    let transport = transport(port, |_| {});
    let body = || RequestBody::of(["B".into(), "OD".into(), "Y".into()]);
    transport.post("X", body()).await.unwrap();
    is_closed.await.unwrap();
    // The connection is told of its end when the runtime looks at the sockets next.
    tokio::time::sleep(Duration::from_millis(1)).await;

    assert_eq!(transport.post("X", body()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = transport(port, |_| {}).post("X", b"BODY".to_vec().into()).await.unwrap_err();
    assert_eq!(error.sent, Sent::No);
    assert!(!all_of(&error).contains("hunter"), "{}", all_of(&error));
}

#[tokio::test]
async fn what_breaks_after_sending_may_have_arrived() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"data\":",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"dat",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 33554433\r\n\r\n{",
    ] {
        let (port, _seen) = server(answer).await;
        let error = transport(port, |_| {}).post("X", b"BODY".to_vec().into()).await.unwrap_err();
        assert_eq!(error.sent, Sent::Maybe, "{answer:?}");
        assert!(!all_of(&error).contains("hunter"), "{}", all_of(&error));
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_is_cut_off_while_it_streams() {
    let (port, _seen) = server(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n0123456789").await;
    let error = transport(port, |s| s.answer_bytes_max = 9).post("X", b"BODY".to_vec().into()).await.unwrap_err();
    assert!(all_of(&error).contains("larger than 9 bytes"));
}

#[tokio::test]
async fn a_silent_server_times_out_and_may_have_received() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let short = |s: &mut HttpSettings| s.timeout = Duration::from_millis(50);
    let error = transport(port, short).post("X", b"BODY".to_vec().into()).await.unwrap_err();
    assert_eq!(error.sent, Sent::Maybe);
    drop(listener);
}

/// Each byte comes in time, and the whole does not.
#[tokio::test]
async fn a_server_that_drips_meets_the_timeout_of_the_whole_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let short = |s: &mut HttpSettings| s.timeout = Duration::from_millis(300);
    let transport = transport(port, short);
    // What it drips would take half an hour.
    let ended = tokio::time::timeout(Duration::from_secs(5), transport.post("X", b"BODY".to_vec().into())).await;
    assert_eq!(ended.expect("its own timeout comes before ours").unwrap_err().sent, Sent::Maybe);
}

#[tokio::test]
async fn a_key_that_a_server_says_back_is_not_kept() {
    let (port, _seen) =
        server(b"HTTP/1.1 401 No\r\nconnection: close\r\n\r\n{\"message\":\"no key server-hunter2, server-hunter2!\"}")
            .await;
    let answer = transport(port, |_| {}).post("X", b"BODY".to_vec().into()).await.unwrap();
    assert_eq!(answer.body, r#"{"message":"no key ***, ***!"}"#);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let (port, _seen) =
        server(b"HTTP/1.1 307 Moved\r\nlocation: http://example.com/\r\ncontent-length: 0\r\n\r\n").await;
    let answer = transport(port, |_| {}).post("X", b"BODY".to_vec().into()).await.unwrap();
    assert_eq!(answer.status, 307);
}

#[tokio::test]
async fn a_failed_handshake_was_not_sent_and_needs_no_process_wide_provider() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    let endpoint = Endpoint::parse(&format!("https://localhost:{port}/graphql")).unwrap();
    let transport = match HttpTransport::new(HttpSettings::new(endpoint, KEY.into())) {
        Ok(transport) => transport,
        // A machine without root certificates says so, and sends nothing.
        Err(HttpSetupError::Roots(_)) => return,
        Err(error) => panic!("{error}"),
    };
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let error = transport.post("X", b"BODY".to_vec().into()).await.unwrap_err();
    assert_eq!(error.sent, Sent::No);
    assert!(!all_of(&error).contains("hunter"), "{}", all_of(&error));
}

#[test]
fn a_key_that_no_header_takes_is_refused_without_being_printed() {
    let endpoint = Endpoint::parse("http://127.0.0.1/").unwrap();
    for key in ["", "  ", "hunter\n2", "hunter\u{7f}"] {
        let settings = HttpSettings::new(endpoint.clone(), key.into());
        assert!(!format!("{settings:?}").contains("hunter"));
        let error = HttpTransport::new(settings).unwrap_err();
        assert!(matches!(error, HttpSetupError::Key));
        assert!(!format!("{error:?} {error}").contains("hunter"));
    }
    let padded = HttpSettings::new(endpoint, "server-1\n".into());
    assert!(HttpTransport::new(padded).is_ok(), "the line break at the end of a file is not the key's");
}
