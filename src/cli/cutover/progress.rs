//! Shows a cutover while it goes on: one live line on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::cli::args::{LogFormat, Talk};
use crate::cli::report::{counted, duration, grouped};
use crate::cli::say;
use crate::pipeline::Tally;

/// How often a line tells of progress where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Shows it until it is dropped.
pub(super) struct Shown {
    bar: ProgressBar,
    ticker: Option<tokio::task::JoinHandle<()>>,
}

impl Shown {
    pub(super) fn start(tally: Arc<Tally>, talk: &Talk) -> Self {
        let json = talk.log_format == LogFormat::Json;
        let live =
            std::io::stderr().is_terminal() && !json && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let target = if live { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if talk.quiet {
            return Self { bar, ticker: None };
        }
        let (began, shown) = (Instant::now(), bar.clone());
        let ticker = tokio::spawn(async move {
            loop {
                tokio::time::sleep(if live { Duration::from_millis(250) } else { LOG_EVERY }).await;
                let text = line_of(&tally, began.elapsed());
                if live {
                    shown.set_message(text);
                    shown.tick();
                } else if json {
                    tracing::warn!(confirmed = tally.confirmed.get(), cancelled = tally.cancelled.get(), "{text}");
                } else {
                    say(&format!("cutover: {text}"));
                }
            }
        });
        Self { bar, ticker: Some(ticker) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
        }
        self.bar.finish_and_clear();
    }
}

fn line_of(tally: &Tally, elapsed: Duration) -> String {
    let mut text = format!("{}, {} confirmed", counted(tally.records.get(), "record"), grouped(tally.confirmed.get()));
    let parked = tally.parked.get() + tally.cancel_parked.get();
    for (word, count) in [
        ("parked", parked),
        ("rejected", tally.rejected.get()),
        ("cancelled", tally.cancelled.get()),
        ("listed", tally.listed.get()),
    ] {
        if count > 0 {
            text.push_str(&format!(", {} {word}", grouped(count)));
        }
    }
    format!("{text} · {}", duration(elapsed.as_secs_f64()))
}
