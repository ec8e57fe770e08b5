//! Shows verifying while it goes on: one live line on a terminal, a line now and then elsewhere.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::cli::args::{LogFormat, Talk};
use crate::cli::eta::{Eta, Left, Work};
use crate::cli::progress::{LOG_EVERY, is_live, live_line, until_the_end};
use crate::cli::report::{counted, duration, grouped};
use crate::cli::say;
use crate::pipeline::{VerifyProgress, VerifyingStep};

/// Shows it until it is dropped.
pub(super) struct Shown {
    bar: ProgressBar,
    ticker: Option<tokio::task::JoinHandle<()>>,
}

impl Shown {
    pub(super) fn start(progress: Arc<VerifyProgress>, talk: &Talk) -> Self {
        let json = talk.log_format == LogFormat::Json;
        let live = is_live(talk);
        let bar = live_line(live);
        if talk.quiet {
            return Self { bar, ticker: None };
        }
        let shown = bar.clone();
        let ticker = tokio::spawn(async move {
            let mut lines = Lines::default();
            loop {
                tokio::time::sleep(if live { Duration::from_millis(250) } else { LOG_EVERY }).await;
                let Some(step) = progress.step() else { continue };
                let text = lines.next(&step);
                if live {
                    shown.set_message(format!("{}  {text}", step.name));
                    shown.tick();
                } else if json {
                    tracing::warn!(step = %step.name, read = step.read.get(), unequal = step.unequal.get(), "{text}");
                } else {
                    say(&format!("{}: {text}", step.name));
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

/// The lines of each step, one after the other.
#[derive(Default)]
struct Lines {
    step: Option<Step>,
}

/// The step that is shown.
struct Step {
    of: Arc<VerifyingStep>,
    eta: Eta,
}

impl Lines {
    /// Records that were read back, how fast, and how long it still takes.
    fn next(&mut self, of: &Arc<VerifyingStep>) -> String {
        if self.step.as_ref().is_none_or(|step| !Arc::ptr_eq(&step.of, of)) {
            self.step = Some(Step { of: of.clone(), eta: Eta::default() });
        }
        let Some(step) = &mut self.step else { return String::new() };
        let (at, read) = (of.began.elapsed(), of.read.get());
        if of.is_drawing() {
            return format!("draws a sample, from {} until now · {}", counted(of.records(), "record"), seconds(at));
        }
        let mut text = format!("{} read back", counted(read, "record"));
        if of.unequal.get() > 0 {
            text.push_str(&format!(", {} different or missing", grouped(of.unequal.get())));
        }
        let rate = (read as f64 / at.as_secs_f64().max(0.001)) as u64;
        let (known, share) = of.to_read();
        let left = step.eta.left(at, Work { known, done: read, share });
        let left = if read == 0 && left != Left::NoLength { Left::NotClear } else { left };
        format!("{text} · {}/s · {}{}", grouped(rate), seconds(at), until_the_end(left))
    }
}

fn seconds(time: Duration) -> String {
    duration(time.as_secs_f64())
}
