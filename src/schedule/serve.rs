//! Answers Prometheus, and whoever watches over processes.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use super::Metrics;
use super::metrics::Ready;

/// The media type of what Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves `/metrics`, `/healthz` (this process answers) and `/readyz` (the last run came to its end) until `over` is.
///
/// Nothing of it is secret or personal: names of steps, and numbers.
///
/// # Errors
///
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    over: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (numbers, readiness) = (metrics.clone(), metrics);
    let routes = Router::new()
        .route("/metrics", get(async move || ([(header::CONTENT_TYPE, OPEN_METRICS)], numbers.text())))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness_of(readiness.ready())));
    axum::serve(listener, routes).with_graceful_shutdown(over).await
}

fn readiness_of(ready: Ready) -> (StatusCode, String) {
    match ready {
        Ready::NotYet => (StatusCode::OK, "no run is over yet\n".to_owned()),
        Ready::Yes => (StatusCode::OK, "the last run came to its end\n".to_owned()),
        Ready::Failed(1) => (StatusCode::SERVICE_UNAVAILABLE, "the last run failed\n".to_owned()),
        Ready::Failed(runs) => (StatusCode::SERVICE_UNAVAILABLE, format!("the last {runs} runs failed\n")),
    }
}
