//! Log lines on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use super::args::{LogFormat, Talk};

/// Begins to log. `STIGG_IMPORT_LOG` (as in `stigg_import=debug`) beats `-v`.
pub(super) fn start(talk: &Talk) {
    let level = match (talk.quiet, talk.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,stigg_import::cli::sync=info",
        (false, 1) => "stigg_import=info,warn",
        (false, 2) => "stigg_import=debug,info",
        (false, _) => "stigg_import=trace,debug",
    };
    // What a Postgres server remarks on its own may quote a row; and when it stops, the error says so.
    let level = format!("{level},sqlx::postgres::notice=off");
    let filter = EnvFilter::try_from_env("STIGG_IMPORT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_timer(SystemTime);
    match talk.log_format {
        LogFormat::Text => builder.with_ansi(false).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
