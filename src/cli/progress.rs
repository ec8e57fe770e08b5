//! Shows a run while it goes on: one live line on a terminal, log lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use tokio::time::Instant;

use super::args::{LogFormat, Talk};
use super::eta::{Eta, Left, Work};
use super::report::{counted, duration, grouped};
use super::say;
use crate::pipeline::{Event, Observer, Progress};

/// Tells of a run on standard error.
pub(super) struct Teller {
    quiet: bool,
    live: bool,
    json: bool,
    shown: Mutex<Option<Shown>>,
}

/// The step that is shown.
struct Shown {
    line: ProgressBar,
    ticker: tokio::task::JoinHandle<()>,
}

/// How often a log line tells of progress where there is no terminal.
pub(super) const LOG_EVERY: Duration = Duration::from_secs(10);

/// Whether a line can be drawn again and again.
pub(super) fn is_live(talk: &Talk) -> bool {
    let draws = || std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    std::io::stderr().is_terminal() && talk.log_format != LogFormat::Json && draws()
}

/// The line of a prefix and a message; hidden where it can't be drawn.
pub(super) fn live_line(live: bool) -> ProgressBar {
    let target = if live { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
    let line = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("{spinner} {prefix}{msg}");
    line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    line
}

impl Teller {
    pub(super) fn new(talk: &Talk) -> Arc<Self> {
        let json = talk.log_format == LogFormat::Json;
        Arc::new(Self { quiet: talk.quiet, live: is_live(talk), json, shown: Mutex::new(None) })
    }

    fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.json {
            tracing::warn!("{text}");
            return;
        }
        match &*self.shown.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(shown) if self.live => shown.line.suspend(|| say(text)),
            Some(_) | None => say(text),
        }
    }

    fn begin(&self, name: &str, title: String, progress: Arc<Progress>, per_minute: Option<f64>) {
        if self.quiet {
            return;
        }
        let line = live_line(self.live);
        line.set_prefix(format!("{title}  "));
        let (live, json, began, name, bar) = (self.live, self.json, Instant::now(), name.to_owned(), line.clone());
        let ticker = tokio::spawn(async move {
            let mut eta = Eta::default();
            let every = if live { Duration::from_millis(250) } else { LOG_EVERY };
            loop {
                tokio::time::sleep(every).await;
                let left = eta.left(began.elapsed(), work(&progress));
                let text = format!("{}{}", line_of(&progress, began.elapsed(), per_minute), until_the_end(left));
                if live {
                    bar.set_message(text);
                    bar.tick();
                } else if json {
                    tracing::warn!(step = %name, rows = progress.rows.get(), accepted = progress.accepted.get(), "{text}");
                } else {
                    say(&format!("{title}: {text}"));
                }
            }
        });
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Shown { line, ticker });
    }

    fn end(&self) {
        if let Some(shown) = self.shown.lock().unwrap_or_else(PoisonError::into_inner).take() {
            shown.ticker.abort();
            shown.line.finish_and_clear();
        }
    }
}

/// The name of a step, and which of several it is: the time left is that of this step alone.
fn titled(name: &str, number: usize, steps: usize) -> String {
    if steps > 1 { format!("{name} (step {number} of {steps})") } else { name.to_owned() }
}

/// Rows, results, rate, share of the limit.
fn line_of(progress: &Progress, elapsed: Duration, per_minute: Option<f64>) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let settled = progress.accepted.get() + progress.failed.get();
    let mut text = format!("{}, {} accepted", counted(progress.rows.get(), "row"), grouped(progress.accepted.get()));
    for (word, count) in
        [("unchanged", &progress.unchanged), ("rejected", &progress.rejected), ("refused", &progress.failed)]
    {
        if count.get() > 0 {
            text.push_str(&format!(", {} {word}", grouped(count.get())));
        }
    }
    text.push_str(&format!(" · {}/s", grouped((settled as f64 / seconds) as u64)));
    if let Some(per_minute) = per_minute {
        let share = progress.requests.get() as f64 / (per_minute * seconds / 60.0).max(1.0);
        text.push_str(&format!(" · {:.0} % of the rate limit", share.min(1.0) * 100.0));
    }
    text.push_str(&format!(" · {}", duration(seconds)));
    text
}

/// How far a step is.
fn work(progress: &Progress) -> Work {
    let read = progress.filtered.get() + progress.rejected.get() + progress.unchanged.get();
    Work {
        known: read + progress.created.get() + progress.changed.get(),
        done: read + progress.accepted.get() + progress.failed.get(),
        share: progress.share_read(),
    }
}

/// The end of a progress line.
pub(super) fn until_the_end(left: Left) -> String {
    match left {
        Left::About(left) => format!(", about {} left", duration(left.as_secs_f64())),
        Left::NoLength => ", time left unknown: the source has no known length".to_owned(),
        Left::NotClear => String::new(),
    }
}

impl Observer for Teller {
    fn event(&self, event: &Event) {
        match event {
            Event::StepStarted { name, number, steps, entity: _, progress, requests_per_minute } => {
                tracing::info!(step = %name, "step begins");
                self.begin(name, titled(name, *number, *steps), progress.clone(), *requests_per_minute);
            }
            Event::StepFinished(summary) => {
                self.end();
                tracing::info!(
                    step = %summary.name,
                    records = summary.records,
                    accepted = summary.accepted,
                    unchanged = summary.unchanged,
                    filtered = summary.filtered,
                    rejected = summary.rejected,
                    refused = summary.failed,
                    open = summary.open,
                    "step is over"
                );
            }
            Event::Reading { step, since: Ok(mark) } => {
                tracing::info!(%step, "reads what was changed since {mark}");
            }
            Event::Resending { next_try, wait, why } => {
                tracing::info!(next_try, wait_s = wait.as_secs_f64(), "{why}");
            }
            Event::Splitting { records, why } => {
                tracing::info!(records, "a batch was refused and is sent again in parts: {why}");
            }
            Event::Reading { since: Err(_), .. }
            | Event::Resuming { .. }
            | Event::GoneFromSource { .. }
            | Event::NotAmongChanges { .. }
            | Event::Held { .. }
            | Event::Throttled { .. }
            | Event::LeftOpen { .. } => {}
        }
        if let Some(text) = noted(event) {
            self.note(&text);
        }
    }
}

/// What a person is told of an event, besides the line of progress.
fn noted(event: &Event) -> Option<String> {
    let batches_of = |count: usize| counted(count as u64, "batch").replace("batchs", "batches");
    Some(match event {
        Event::Resuming { batches, records } => format!(
            "an earlier run left {} open; {} will be sent again",
            batches_of(*batches),
            counted(*records as u64, "record")
        ),
        Event::GoneFromSource { run, records, present } => {
            let known = match present {
                Some(present) => format!("{} of them in Stigg", grouped(*present as u64)),
                None => "whether they are in Stigg can't be told".to_owned(),
            };
            format!(
                "{} of run {run} had no known outcome and left the source since; {known}",
                counted(*records as u64, "record")
            )
        }
        Event::Reading { step, since: Err(why) } => format!("{step}: reads all rows: {why}"),
        Event::NotAmongChanges { batches } => {
            format!("{} of an earlier run did not come again; the next run reads all rows", batches_of(*batches))
        }
        Event::Held { records } => format!(
            "{} had no known outcome in an earlier run, too long ago to be sent again without counting twice; nothing is sent \
             for them until `stigg-import settle` says what became of them",
            counted(*records as u64, "event")
        ),
        Event::Throttled { pause } => format!("the API asked for a pause of {}", duration(pause.as_secs_f64())),
        Event::Resending { next_try, wait, why } if *next_try > 2 => {
            format!("try {next_try} in {}: {why}", duration(wait.as_secs_f64()))
        }
        Event::LeftOpen { records, why } => {
            format!("{} left open for the next run: {why}", counted(*records as u64, "record"))
        }
        Event::StepStarted { .. }
        | Event::StepFinished(_)
        | Event::Reading { since: Ok(_), .. }
        | Event::Resending { .. }
        | Event::Splitting { .. } => return None,
    })
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_line_tells_rate_share_of_the_limit_and_time_left() {
        // Given: 100 records a request and 10 requests a second, which is the limit; a tenth is read in a minute.
        let progress = Progress::default();
        progress.bytes_total.set(10_000_000);
        let (mut eta, began, mut line) = (Eta::default(), Instant::now(), String::new());
        // When
        for tick in 1..=240_u64 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            progress.rows.set(tick * 250);
            progress.created.set(tick * 250);
            progress.accepted.set(tick * 250);
            progress.requests.set(tick * 5 / 2);
            progress.bytes_read.set(tick * 1_000_000 / 240);
            let left = eta.left(began.elapsed(), work(&progress));
            line = line_of(&progress, began.elapsed(), Some(600.0)) + &until_the_end(left);
        }
        // Then
        assert_eq!(
            line,
            "60,000 rows, 60,000 accepted · 1,000/s · 100 % of the rate limit · 60 s, about 9 min 0 s left"
        );
    }

    #[test]
    fn of_several_steps_it_is_said_which_one_goes_on() {
        assert_eq!(
            (titled("usage", 3, 3), titled("usage", 1, 1)),
            ("usage (step 3 of 3)".to_owned(), "usage".to_owned())
        );
    }

    #[test]
    fn what_happens_during_a_run_is_told_in_a_line_each() {
        let why = || "the API's server failed: 500".to_owned();
        let wait = Duration::from_secs(4);
        let events = [
            Event::Resuming { batches: 1, records: 1 },
            Event::Resuming { batches: 2, records: 1500 },
            Event::GoneFromSource { run: 7, records: 3, present: Some(2) },
            Event::GoneFromSource { run: 7, records: 3, present: None },
            Event::NotAmongChanges { batches: 2 },
            Event::Held { records: 12 },
            Event::Throttled { pause: wait },
            Event::Resending { next_try: 2, wait, why: why() },
            Event::Resending { next_try: 3, wait, why: why() },
            Event::LeftOpen { records: 100, why: why() },
        ];
        let told: Vec<String> = events.iter().filter_map(noted).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        an earlier run left 1 batch open; 1 record will be sent again
        an earlier run left 2 batches open; 1,500 records will be sent again
        3 records of run 7 had no known outcome and left the source since; 2 of them in Stigg
        3 records of run 7 had no known outcome and left the source since; whether they are in Stigg can't be told
        2 batches of an earlier run did not come again; the next run reads all rows
        12 events had no known outcome in an earlier run, too long ago to be sent again without counting twice; nothing is sent for them until `stigg-import settle` says what became of them
        the API asked for a pause of 4.0 s
        try 3 in 4.0 s: the API's server failed: 500
        100 records left open for the next run: the API's server failed: 500
        ");
    }

    #[test]
    fn a_source_without_a_length_says_so() {
        let progress = Progress::default();
        let left = Eta::default().left(Duration::from_secs(70), work(&progress));
        assert_eq!(until_the_end(left), ", time left unknown: the source has no known length");
    }
}
