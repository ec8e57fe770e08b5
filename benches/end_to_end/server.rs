//! A server that answers imports and counts them.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::Failure;
use crate::limiter::{Limiter, LimiterKind, WINDOW};
use crate::protocol::{self, Operation};

/// How the server behaves.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The port on the loopback interface; 0 takes a free one, which the first line of output names.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How long an answer takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// How much longer or shorter it may take, in milliseconds.
    #[arg(long, default_value_t = 0)]
    jitter_ms: u64,
    /// Refuses with status 429 what is over the published limits, in the way of this kind of limiter.
    #[arg(long)]
    limiter: Option<LimiterKind>,
    /// The published limits times this.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rate_scale: u32,
}

/// Most bytes of a request.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Runs until SIGTERM or an interrupt, then prints the counts.
///
/// # Errors
///
/// When the port can't be had.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // One thread: the other core belongs to the program that is measured.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Arc::new(Server {
        latency: Duration::from_millis(arguments.latency_ms),
        jitter_ms: arguments.jitter_ms.min(arguments.latency_ms),
        started: Instant::now(),
        started_unix: SystemTime::now().duration_since(UNIX_EPOCH)?,
        in_flight: AtomicU64::new(0),
        counts: Mutex::new(Counts {
            writes: Operation::WRITES.map(|operation| {
                let limit = operation.limit_per_minute() * arguments.rate_scale;
                WriteCounts::new(operation, arguments.limiter.map(|kind| Limiter::new(kind, limit)))
            }),
            ..Counts::default()
        }),
    });
    let router = Router::new()
        .route("/graphql", post(handle))
        .route("/stats", get(|State(server): State<Arc<Server>>| async move { server.stats().to_string() }))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(server.clone());
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
    println!("listening {}", listener.local_addr()?.port());
    tokio::select! {
        served = axum::serve(listener, router) => served?,
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    println!("{}", server.stats());
    Ok(())
}

#[derive(Debug)]
struct Server {
    latency: Duration,
    jitter_ms: u64,
    started: Instant,
    started_unix: Duration,
    in_flight: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    first: Option<Duration>,
    requests: u64,
    unknown: u64,
    bytes: u64,
    in_flight_max: u64,
    writes: [WriteCounts; 4],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            first: None,
            requests: 0,
            unknown: 0,
            bytes: 0,
            in_flight_max: 0,
            writes: Operation::WRITES.map(|operation| WriteCounts::new(operation, None)),
        }
    }
}

/// The counts of one operation that writes. Times are since the UNIX epoch, and monotonic.
#[derive(Debug)]
struct WriteCounts {
    operation: Operation,
    limiter: Option<Limiter>,
    admitted: u64,
    refused: u64,
    records: u64,
    first: Option<Duration>,
    last: Duration,
    window: VecDeque<Duration>,
    window_max: usize,
}

impl WriteCounts {
    fn new(operation: Operation, limiter: Option<Limiter>) -> Self {
        Self {
            operation,
            limiter,
            admitted: 0,
            refused: 0,
            records: 0,
            first: None,
            last: Duration::ZERO,
            window: VecDeque::new(),
            window_max: 0,
        }
    }

    /// Counts a request; whether it is admitted.
    fn count(&mut self, now: Duration, records: u64) -> bool {
        while self.window.front().is_some_and(|sent| now.saturating_sub(*sent) >= WINDOW) {
            self.window.pop_front();
        }
        self.window.push_back(now);
        self.window_max = self.window_max.max(self.window.len());
        let admitted = self.limiter.as_mut().is_none_or(|limiter| limiter.admit(now));
        if admitted {
            self.admitted += 1;
            self.records += records;
            self.first.get_or_insert(now);
            self.last = now;
        } else {
            self.refused += 1;
        }
        admitted
    }

    fn stats(&self) -> Value {
        json!({
            "admitted": self.admitted,
            "refused": self.refused,
            "records": self.records,
            "first_unix_us": self.first.map_or(0, |first| first.as_micros() as u64),
            "last_unix_us": self.last.as_micros() as u64,
            "requests_in_60_s_max": self.window_max,
        })
    }
}

impl Server {
    fn now(&self) -> Duration {
        self.started_unix + self.started.elapsed()
    }

    fn stats(&self) -> Value {
        let counts = self.lock();
        let mut stats = json!({
            "requests": counts.requests,
            "unknown": counts.unknown,
            "bytes": counts.bytes,
            "in_flight_max": counts.in_flight_max,
            "first_unix_us": counts.first.map_or(0, |first| first.as_micros() as u64),
        });
        for write in counts.writes.iter().filter(|write| write.admitted + write.refused > 0) {
            stats[write.operation.name()] = write.stats();
        }
        stats
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Counts a request; whether it is admitted.
    fn count(&self, operation: Operation, body: &[u8], records: usize) -> bool {
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let now = self.now();
        let mut counts = self.lock();
        counts.first.get_or_insert(now);
        counts.requests += 1;
        counts.bytes += body.len() as u64;
        counts.in_flight_max = counts.in_flight_max.max(in_flight);
        counts.unknown += u64::from(operation == Operation::Unknown);
        match counts.writes.iter_mut().find(|write| write.operation == operation) {
            Some(write) => write.count(now, records as u64),
            None => true,
        }
    }

    async fn wait(&self) {
        if !self.latency.is_zero() {
            let shift_ms = fastrand::u64(0..=2 * self.jitter_ms);
            tokio::time::sleep(self.latency + Duration::from_millis(shift_ms) - Duration::from_millis(self.jitter_ms))
                .await;
        }
    }
}

async fn handle(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    let (operation, after_root) = Operation::of(&body);
    let records = protocol::count_records(operation, &body);
    let (status, answer) = if server.count(operation, &body, records) {
        (StatusCode::OK, protocol::answer(operation, &body, after_root, records))
    } else {
        (StatusCode::TOO_MANY_REQUESTS, protocol::error("RateLimitExceeded", "Rate limit exceeded"))
    };
    server.wait().await;
    server.in_flight.fetch_sub(1, Ordering::Relaxed);
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], answer).into_response()
}
