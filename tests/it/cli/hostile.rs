//! Answers that are wrong in every way: endless, slow, cut off, lying, redirecting, of somebody else. Whatever comes, a run
//! ends in its time with its records accounted for, says what is wrong, and a run against a sound API gets everything in.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{RUN, a_good_run_follows, clean};
use crate::program::{Api, Folder, Ran};
use crate::relay::{Instead, Relay, answer, says};

/// Longest real time of a run against a server that answers at once, whatever it says.
const RUN_MAX: Duration = Duration::from_secs(60);

/// Largest memory of a run, in KiB: what it takes anyway, and the largest answer twice.
const MEMORY_KIB_MAX: u64 = 150 * 1024;

/// Runs the program and tells its largest memory, in KiB, where the system keeps it.
fn run_measured(folder: &Folder, words: &str) -> (Ran, u64) {
    let mut child = folder.command(words).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    // When it has ended its number may be another's at once: a thread's of this process, say.
    let is_it = format!("Tgid:\t{}\n", child.id());
    let is_ours = format!("PPid:\t{}\n", std::process::id());
    // For a moment after it was made it still has this process's memory, under its name.
    let has_begun = "Name:\tstigg-import\n";
    let largest = Arc::new(AtomicUsize::new(0));
    let seen = largest.clone();
    thread::spawn(move || {
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find(|line| line.starts_with("VmHWM:"));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            let Some(kib) = kib.filter(|_| text.contains(&is_it) && text.contains(&is_ours)) else { return };
            if text.starts_with(has_begun) {
                seen.fetch_max(kib, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(2));
        }
    });
    let _ = child.try_wait();
    let ran = folder.wait(child);
    (ran, largest.load(Ordering::Relaxed) as u64)
}

/// Each wrong answer to the first `times` requests of an operation.
fn wrong(
    operation: &'static str,
    times: u32,
    instead: impl Fn() -> Option<Instead> + Send + Sync + 'static,
) -> (Api, Relay) {
    let (api, count) = (Api::open(), AtomicU32::new(0));
    let relay = Relay::to(&api, move |asked| {
        let is_wrong = asked.operation == operation && count.fetch_add(1, Ordering::Relaxed) < times;
        is_wrong.then(&instead).flatten()
    });
    (api, relay)
}

/// The run ends in its time without a panic, and everything is accounted for; then all of it gets in.
fn is_survived(
    what: &str,
    operation: &'static str,
    instead: impl Fn() -> Option<Instead> + Send + Sync + 'static,
) -> Ran {
    let folder = clean();
    let (api, relay) = wrong(operation, 2, instead);
    let began = Instant::now();
    let (ran, memory_kib) = run_measured(&folder, &format!("{RUN} --json --rate-scale 100000 --target {}", relay.url));
    assert!(began.elapsed() < RUN_MAX, "{what}: {ran}");
    assert!(memory_kib < MEMORY_KIB_MAX, "{what}: {memory_kib} KiB");
    assert!(ran.exit.is_some_and(|exit| exit != 1), "{what}: {ran}");
    assert!(!ran.stderr.contains("panicked"), "{what}: {ran}");
    if ran.json()["steps"].is_array() {
        let sum = ran.total("accepted") + ran.total("rejected") + ran.total("failed") + ran.total("open");
        assert_eq!(ran.total("records"), sum, "{what}: {ran}");
        let claimed = ran.total("accepted") as usize;
        assert!(api.customers() >= claimed, "{what}: {claimed} are said to be there\n{ran}");
    }
    a_good_run_follows(&folder, &api);
    eprintln!("counted: 1 wrong answers");
    ran
}

/// An object of `depth` objects in each other.
fn deep(depth: usize) -> String {
    format!("{}1{}", "{\"data\":".repeat(depth), "}".repeat(depth))
}

const IMPORT: &str = "ImportCustomerBulk";

#[test]
fn whole_answers_that_say_something_wrong_are_survived() {
    let said = |body: &str| format!("{{\"data\":{{\"importCustomersBulk\":{body}}}}}");
    let many: Vec<String> = (0..20_000).map(|id| format!("\"foreign-{id}\"")).collect();
    let cases = [
        ("200 OK", "text/html", "<!doctype html><title>Sign in</title>".to_owned()),
        ("200 OK", "text/html", "{}".to_owned()),
        ("200 OK", "application/json", String::new()),
        ("200 OK", "application/json", "null".to_owned()),
        ("200 OK", "application/json", "[]".to_owned()),
        ("200 OK", "application/json", "{}".to_owned()),
        ("200 OK", "application/json", "{\"data\":null}".to_owned()),
        ("200 OK", "application/json", "{\"data\":{}}".to_owned()),
        ("200 OK", "application/json", "{\"data\":{\"importCustomersBulk\":".to_owned()),
        ("200 OK", "application/json", said("7")),
        ("200 OK", "application/json", said("{\"status\":\"COMPLETED\"}")),
        ("200 OK", "application/json", said("[\"ok\"]")),
        ("200 OK", "application/json", deep(200)),
        ("200 OK", "application/json", deep(100_000)),
        ("200 OK", "application/json", "{\"errors\":[]}".to_owned()),
        ("200 OK", "application/json", "{\"errors\":[7,null]}".to_owned()),
        ("200 OK", "application/json", "{\"errors\":[{}]}".to_owned()),
        (
            "200 OK",
            "application/json",
            "{\"errors\":[{\"message\":\"?\",\"extensions\":{\"code\":\"NeverHeardOf\"}}]}".to_owned(),
        ),
        (
            "200 OK",
            "application/json",
            format!(
                "{{\"errors\":[{{\"message\":\"{}\",\"extensions\":{{\"code\":\"CustomerNotFound\",\"failedCustomerIds\":[{}]}}}}]}}",
                "m".repeat(100_000),
                many.join(",")
            ),
        ),
        ("400 Bad Request", "text/html", "<h1>no</h1>".to_owned()),
        ("404 Not Found", "text/plain", "no".to_owned()),
        ("418 I'm a teapot", "application/json", "{}".to_owned()),
        ("500 Oh", "application/json", "{\"errors\":[{\"message\":\"oh\"}]}".to_owned()),
        ("503 Busy", "text/html", "<html>later</html>".to_owned()),
    ];
    // Most of the time is pauses between tries.
    thread::scope(|scope| {
        for (status, content_type, body) in cases {
            scope.spawn(move || {
                let what = format!("{status} {}", &body[..body.len().min(60)]);
                for operation in [IMPORT, "CurrentEnvironment"] {
                    let bytes = answer(status, content_type, &body);
                    is_survived(&what, operation, move || says(bytes.clone()));
                }
            });
        }
    });
}

#[test]
fn answers_that_break_off_or_never_end_are_survived() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"data\":",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"dat",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\0\0\0",
    ] {
        let ran = is_survived(&String::from_utf8_lossy(bytes), IMPORT, move || says(bytes));
        assert_eq!(ran.exit, Some(0), "a later try got an answer: {ran}");
    }
    // More than is taken, of every kind: the connection is closed, and the memory stays.
    let endless = |head: &'static str, unit: &'static str| {
        move || -> Option<Instead> {
            Some(Box::new(move |_, stream| {
                let unit = unit.repeat(4096);
                let mut more = stream.write_all(head.as_bytes()).is_ok();
                while more {
                    more = stream.write_all(unit.as_bytes()).is_ok();
                }
            }))
        }
    };
    is_survived("an endless body", IMPORT, endless("HTTP/1.1 200 OK\r\n\r\n", "{\"data\":"));
    is_survived("an endless header", IMPORT, endless("HTTP/1.1 200 OK\r\nx: ", "y"));
    is_survived("endless headers", IMPORT, endless("HTTP/1.1 200 OK\r\n", "x: y\r\n"));
}

/// Whoever is named in a redirect gets no request, and so no key.
#[test]
fn a_redirect_is_never_followed_and_said() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = elsewhere.local_addr().unwrap();
    let reached = Arc::new(AtomicU32::new(0));
    let count = reached.clone();
    thread::spawn(move || {
        for _ in elsewhere.incoming() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    for status in [301, 302, 303, 307, 308] {
        let head = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://{address}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let at_start = head.clone();
        let ran = is_survived("a redirect at the start", "CurrentEnvironment", move || says(at_start.clone()));
        assert!(ran.stderr.contains(&format!("status {status}")), "{ran}");
        is_survived("a redirect", IMPORT, move || says(head.clone()));
    }
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

/// TLS: an untrusted certificate, and no TLS at all. The key never leaves, and there is no second try without TLS.
#[test]
fn a_server_that_is_not_trusted_is_said_and_gets_no_request() {
    if crate::databases::left_out() {
        return;
    }
    let folder = clean();
    let openssl = |words: &str| {
        let made = Command::new("openssl").args(words.split(' ')).current_dir(folder.path("")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost",
    );
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &port.to_string(), "-key", "key.pem", "-cert", "cert.pem", "-www"])
        .current_dir(folder.path(""))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    let mut command = folder.command(&format!("{RUN} --target https://localhost:{port}/graphql"));
    let ran = folder.finish(command.env("STIGG_API_KEY", "server-canary0key"));
    server.kill().unwrap();
    let heard = server.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&heard.stdout).contains("canary0key"));
    assert_eq!(ran.exit, Some(5), "{ran}");
    assert!(ran.stderr.contains("invalid peer certificate"), "{ran}");

    // No TLS behind an https address: what comes first is a handshake, never a request.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    let heard = thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let mut first = [0; 4096];
        let count = std::io::Read::read(&mut stream, &mut first).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        first[..count].to_vec()
    });
    let mut command = folder.command(&format!("{RUN} --target https://localhost:{port}/graphql"));
    let ran = folder.finish(command.env("STIGG_API_KEY", "server-canary0key"));
    assert_eq!(ran.exit, Some(5), "{ran}");
    let first = heard.join().unwrap();
    assert_eq!(first[0], 22, "a TLS handshake comes first");
    assert!(!first.windows(10).any(|window| window == b"canary0key"));
}
