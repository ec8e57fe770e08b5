//! Telling the webhook of the pipeline file how a run went.

use super::once::{Round, Run};
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::{counted, grouped};
use crate::cli::say;
use crate::cli::setup::{self, Work};
use crate::pipeline::{Stopped, Summary};
use crate::schedule::{News, Notifier, NotifyError, Outcome};

/// Whom to tell; none where the file names nobody.
pub(super) fn notifier(work: &Work) -> Result<Option<Notifier>, Failure> {
    let Some(written) = &work.notify else { return Ok(None) };
    let settings = written.settings().map_err(|error| {
        Failure::of(Exit::Config, &error)
            .hint("set it to the webhook's address, or take `[notify]` out; nothing was sent")
    })?;
    let notifier = Notifier::new(&settings).map_err(|error| {
        Failure::of(Exit::Config, &error)
            .hint("give `[notify] url` an address that begins with https://; nothing was sent")
    })?;
    Ok(Some(notifier))
}

/// Tells it, if it is news. That nobody could be told is said, and changes nothing of the run.
pub(super) async fn tell(run: &Run<'_>, round: &Round) {
    // Read again: a file that was broken when the run began may be the news.
    let Ok(work) = setup::work(&run.args.input, "sync") else {
        if run.has_webhook && round.outcome == Outcome::Failed {
            tracing::warn!("nobody can be told of the failed run: the pipeline, which names the webhook, doesn't hold");
        }
        return;
    };
    let told = match notifier(&work) {
        Ok(Some(notifier)) => match news(&work.identity, round, &notifier) {
            Some(news) => notifier.tell(&news).await.map_err(|error: NotifyError| Failure::of(Exit::Config, &error)),
            None => Ok(()),
        },
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    if let Err(failure) = told {
        say(&failure.to_string().replacen("error", "warning", 1));
    }
}

/// What there is to tell of a run.
fn news(pipeline: &str, round: &Round, notifier: &Notifier) -> Option<News> {
    let summary = round.ended.as_ref().ok().map(|done| {
        let stopped = done.finished.stopped.as_ref().map(for_strangers);
        Summary { stopped, ..done.finished.summary.clone() }
    });
    let (event, text, error) = match (round.outcome, &summary) {
        (Outcome::Failed, Some(summary)) => ("failed", format!("failed: {}", why(summary)), None),
        (Outcome::Failed, None) => {
            // Its message may quote a row, as errors of databases do; what it is of does not.
            let error = round.ended.as_ref().err().map(|failure| failure.message.clone()).unwrap_or_default();
            ("failed", format!("failed before it began: {error}"), Some(error))
        }
        (Outcome::Done, Some(summary)) if notifier.is_news(summary) => {
            ("rejects", format!("came to its end with {}", rejects(summary)), None)
        }
        (Outcome::Done | Outcome::Held, _) => return None,
    };
    let number = summary.as_ref().map(|summary| format!("run {} of ", summary.run)).unwrap_or_default();
    let again = match round.failures {
        0 | 1 => String::new(),
        failures => format!(" ({failures} failures in a row)"),
    };
    Some(News {
        text: format!("stigg-import: {number}{pipeline} {text}{again}"),
        event,
        pipeline: pipeline.to_owned(),
        exit: round.exit() as i32,
        failures_in_a_row: round.failures,
        error,
        summary,
    })
}

/// Why a run stopped early, for people outside: what an API or a database says may quote a row.
fn for_strangers(stopped: &Stopped) -> String {
    match stopped {
        Stopped::RequestMalformed(_) => "the API could not make sense of a request".to_owned(),
        Stopped::SourceBroke(_) => "the source broke part-way".to_owned(),
        Stopped::Interrupted
        | Stopped::CredentialsRefused(_)
        | Stopped::LedgerCannotWrite(_)
        | Stopped::HoldLost(_)
        | Stopped::NotTheApi(_)
        | Stopped::TooManyRejects(_)
        | Stopped::SpillFailed(_)
        | Stopped::Outage(_)
        | Stopped::FilesCannotWrite(_)
        | Stopped::ProviderRefused(_)
        | Stopped::NotTheProvider(_)
        | Stopped::Moved(_) => stopped.to_string(),
    }
}

fn why(summary: &Summary) -> String {
    let open = summary.total(|step| step.open);
    match (&summary.stopped, open) {
        (Some(stopped), 0) => stopped.clone(),
        (Some(stopped), open) => format!("{stopped}; {} open", counted(open, "record")),
        (None, open) => format!("{} open", counted(open, "record")),
    }
}

fn rejects(summary: &Summary) -> String {
    let rejected = summary.total(|step| step.rejected);
    let refused = summary.total(|step| step.failed);
    let rows = counted(summary.total(|step| step.rows), "row");
    format!("{} rejected and {} refused by the API, of {rows}", grouped(rejected), grouped(refused))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;

    use super::*;
    use crate::cli::sync::once::Done;
    use crate::entity::Entity;
    use crate::ledger::LedgerPlace;
    use crate::pipeline::{Finished, Progress, StepSummary};
    use crate::schedule::NotifySettings;

    #[test]
    fn what_a_webhook_is_told_is_a_sentence_without_a_row() {
        let url = SecretString::from("https://hooks.example.com/T0");
        let notifier = Notifier::new(&NotifySettings { url, rejects_above: None }).unwrap();
        let round = |failures: u32, ended: Result<Done, Failure>| Round {
            ended,
            outcome: Outcome::Failed,
            failures,
            took: Duration::from_secs(1),
        };
        let ended = |open: u64, stopped: Option<Stopped>| {
            let progress = Progress::default();
            progress.open.add(open);
            let steps = vec![StepSummary::new("customers", Entity::Customer, open, &progress, 1.0)];
            let summary = Summary { run: 7, ok: false, exit: 4, duration_s: 1.0, stopped: None, steps };
            let finished = Finished { summary, stopped, open_batches: 0, rejects: Vec::new() };
            Ok(Done { finished, exit: Exit::Open, ledger: LedgerPlace::File("ledger.db".into()) })
        };
        let cause = std::io::Error::other("row (cus_1, ada@example.com)");
        let rounds = [
            round(1, ended(3, None)),
            round(2, ended(3, Some(Stopped::SourceBroke("customers.csv:7: ada@example.com".to_owned())))),
            round(3, ended(0, Some(Stopped::RequestMalformed("name \"Ada\" is no name".to_owned())))),
            round(4, ended(1, Some(Stopped::Outage("no answer for 15 min".to_owned())))),
            round(5, Err(Failure::because(Exit::Config, "the source can't be read", &cause))),
        ];
        let told =
            rounds.map(|round| news("pipeline.toml", &round, &notifier).map(|news| news.text).unwrap_or_default());
        insta::assert_snapshot!(told.join("\n"), @"
        stigg-import: run 7 of pipeline.toml failed: 3 records open
        stigg-import: run 7 of pipeline.toml failed: the source broke part-way; 3 records open (2 failures in a row)
        stigg-import: run 7 of pipeline.toml failed: the API could not make sense of a request (3 failures in a row)
        stigg-import: run 7 of pipeline.toml failed: the API does not answer: no answer for 15 min; 1 record open (4 failures in a row)
        stigg-import: pipeline.toml failed before it began: the source can't be read (5 failures in a row)
        ");
    }
}
