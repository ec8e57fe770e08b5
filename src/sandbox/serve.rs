//! The sandbox on a TCP port. Faults happen on the wire.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Reply, Request, Sandbox, StripeRequest};

/// Time that the first half of a truncated body gets to leave, before the connection breaks.
const TRUNCATED_FLUSH: Duration = Duration::from_millis(20);

/// A connection that can be cut from inside a handler.
struct Cuttable {
    stream: TcpStream,
    cut: Scissors,
}

/// Cuts its connection: nothing more is written to it.
#[derive(Clone, Default)]
struct Scissors(Arc<AtomicBool>);

impl Scissors {
    fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn was_cut(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Cuttable {
    fn refuse(&self) -> Option<io::Error> {
        self.cut.was_cut().then(|| {
            // With no time to linger the peer gets a reset, not an orderly end. If that fails, it gets the end.
            let _ = self.stream.set_zero_linger();
            io::Error::from(io::ErrorKind::ConnectionReset)
        })
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.refuse() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.refuse() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.refuse() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}

/// Hands out connections that can be cut.
struct CuttableListener(TcpListener);

impl Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for more; a socket that refuses is only slower.
        let _ = stream.set_nodelay(true);
        (Cuttable { stream, cut: Scissors::default() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().cut.clone()
    }
}

#[derive(Clone)]
struct Served {
    sandbox: Sandbox,
    ending: watch::Receiver<bool>,
}

pub(super) async fn serve(
    sandbox: Sandbox,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (end, ending) = watch::channel(false);
    let router = Router::new()
        .route("/graphql", post(graphql))
        .route("/stripe/{*path}", any(stripe))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(Served { sandbox, ending });
    let service = router.into_make_service_with_connect_info::<Scissors>();
    axum::serve(CuttableListener(listener), service)
        .with_graceful_shutdown(async move {
            shutdown.await;
            // Those who wait in silence go, or the end would wait for them.
            let _ = end.send(true);
        })
        .await
}

async fn graphql(
    State(mut served): State<Served>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Ok(body) = to_bytes(body, served.sandbox.body_bytes_max()).await else {
        return response(StatusCode::PAYLOAD_TOO_LARGE.as_u16(), &[], Body::empty());
    };
    let request = Request { api_key: header("x-api-key"), operation: header("x-graphql-operation-name"), body };
    // The work goes on when the client goes: a request that has arrived is done.
    let sandbox = served.sandbox.clone();
    let work = tokio::spawn(async move { sandbox.handle(request).await });
    on_the_wire(work.await.unwrap_or(Reply::Reset), &mut served, &scissors).await
}

async fn stripe(
    State(mut served): State<Served>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Ok(body) = to_bytes(body, served.sandbox.body_bytes_max()).await else {
        return response(StatusCode::PAYLOAD_TOO_LARGE.as_u16(), &[], Body::empty());
    };
    let request = StripeRequest {
        method: method.to_string(),
        path: uri.path().trim_start_matches("/stripe").to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        authorization: header("authorization"),
        version: header("stripe-version"),
        body,
    };
    let sandbox = served.sandbox.clone();
    let work = tokio::spawn(async move { sandbox.handle_stripe(request).await });
    on_the_wire(work.await.unwrap_or(Reply::Reset), &mut served, &scissors).await
}

async fn on_the_wire(reply: Reply, served: &mut Served, scissors: &Scissors) -> Response {
    match reply {
        Reply::Answer { status, headers, body } => dated(response(status, &headers, Body::from(body)), &served.sandbox),
        Reply::Truncated { status, headers, body } => {
            dated(response(status, &headers, truncated(body)), &served.sandbox)
        }
        Reply::Reset => {
            scissors.cut();
            response(StatusCode::OK.as_u16(), &[], Body::empty())
        }
        Reply::Silent => {
            // Ends only with the server: an error means that the sender, and so the server, is gone.
            let _ = served.ending.wait_for(|ending| *ending).await;
            scissors.cut();
            response(StatusCode::OK.as_u16(), &[], Body::empty())
        }
    }
}

fn response(status: u16, headers: &[(String, String)], body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An answer with the time by the environment's clock; the machine's would stand there otherwise.
fn dated(mut response: Response, sandbox: &Sandbox) -> Response {
    let now = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&sandbox.now());
    if let Some(date) = now.ok().and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// A body that breaks after what there is of it.
fn truncated(body: Vec<u8>) -> Body {
    let parts = futures::stream::unfold(Some(body), |state| async move {
        match state {
            Some(body) if !body.is_empty() => Some((Ok(Bytes::from(body)), Some(Vec::new()))),
            Some(_) => {
                tokio::time::sleep(TRUNCATED_FLUSH).await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
            }
            None => None,
        }
    });
    Body::from_stream(parts)
}
