//! Shows a cutover while it goes on: one live line on a terminal, a line now and then elsewhere.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

use crate::cli::args::{LogFormat, Talk};
use crate::cli::eta::{Eta, Work};
use crate::cli::progress::{LOG_EVERY, is_live, live_line, until_the_end};
use crate::cli::report::{counted, duration, grouped};
use crate::cli::say;
use crate::pipeline::Tally;

/// Shows it until it is dropped.
pub(super) struct Shown {
    bar: ProgressBar,
    ticker: Option<tokio::task::JoinHandle<()>>,
}

impl Shown {
    pub(super) fn start(tally: Arc<Tally>, talk: &Talk) -> Self {
        let json = talk.log_format == LogFormat::Json;
        let live = is_live(talk);
        let bar = live_line(live);
        if talk.quiet {
            return Self { bar, ticker: None };
        }
        let (began, shown) = (Instant::now(), bar.clone());
        let ticker = tokio::spawn(async move {
            let (mut moving, mut cancelling) = (Eta::default(), Eta::default());
            loop {
                tokio::time::sleep(if live { Duration::from_millis(250) } else { LOG_EVERY }).await;
                let at = began.elapsed();
                let left = match cancellations(&tally) {
                    Some(work) => cancelling.left(at, work),
                    None => moving.left(at, work(&tally)),
                };
                let text = line_of(&tally, at) + &until_the_end(left);
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

/// How far provisioning and proving is.
fn work(tally: &Tally) -> Work {
    let total = tally.bytes_total.get();
    let share = (total > 0).then(|| tally.bytes_read.get() as f64 / total as f64);
    Work { known: tally.records.get(), done: tally.settled(), share }
}

/// How far cancelling is, once it has begun.
fn cancellations(tally: &Tally) -> Option<Work> {
    let known = tally.to_cancel.get();
    (known > 0).then(|| Work { known, done: tally.originals_settled(), share: Some(1.0) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::eta::Left;

    #[test]
    fn a_cutover_tells_how_long_provisioning_and_cancelling_take() {
        // Given: a file of 1,000 is read at once; two a second are confirmed, and then five a second cancelled.
        let tally = Tally::default();
        tally.bytes_total.set(50_000);
        tally.bytes_read.set(50_000);
        tally.records.add(1000);
        let mut moving = Eta::default();
        let mut told = Left::NotClear;
        for second in 1..=60 {
            tally.confirmed.add(2);
            told = moving.left(Duration::from_secs(second), work(&tally));
        }
        assert_eq!(told, Left::About(Duration::from_secs(440)));
        assert_eq!(cancellations(&tally), None);
        // When
        tally.to_cancel.set(400);
        let mut cancelling = Eta::default();
        for second in 501..=520 {
            tally.cancelled.add(5);
            told = cancelling.left(Duration::from_secs(second), cancellations(&tally).unwrap());
        }
        // Then
        assert_eq!(told, Left::About(Duration::from_secs(60)));
    }
}
