//! `ledger repair`: a damaged ledger made whole.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::args::{LedgerCommand, Talk};
use super::exit::{Exit, Failure};
use super::report::{counted, grouped};
use super::{out, out_json, say, setup};
use crate::ledger::{LeaseTerms, LedgerError, LedgerPlace, Repaired, RunLock, repair};

/// Repairs, and says what is left.
pub(super) async fn main(command: LedgerCommand, talk: &Talk) -> Result<Exit, Failure> {
    let LedgerCommand::Repair(at) = command;
    let place = &at.ledger;
    let path = match place {
        LedgerPlace::File(path) => path,
        LedgerPlace::Postgres(_) => {
            return Err(Failure::new(
                Exit::Arguments,
                format!("a ledger in Postgres is repaired by its database: {place}"),
            )
            .hint(
                "restore the database from a backup where it is damaged; `ledger repair` is for a ledger in a file",
            ));
        }
    };
    if !path.exists() {
        return Err(setup::ledger_failure(&LedgerError::Missing { ledger: place.clone() }));
    }
    let now = jiff::Timestamp::now();
    let lock = RunLock::acquire(place, LeaseTerms::default(), now).await.map_err(|e| setup::ledger_failure(&e))?;
    let repaired = repair(path, now, &lock).await.map_err(|error| match &error {
        // What the hint for a damaged ledger says has just been tried.
        LedgerError::Corrupt { .. } => Failure::of(Exit::Ledger, &error).hint(
            "nothing of it can be kept: restore it from a backup, or move it aside and run again; everything is then sent \
             again, which the API makes harmless, but events of more than 12 hours ago may count twice",
        ),
        _ => setup::ledger_failure(&error),
    })?;
    lock.release().await;
    if talk.json() {
        out_json(&repaired.as_ref().map_or_else(|| json!({ "repaired": false }), as_json))?;
        return Ok(Exit::Settled);
    }
    let Some(repaired) = repaired else {
        out(&format!("nothing is wrong with {place}\n"));
        return Ok(Exit::Settled);
    };
    out(&told(path, &repaired));
    if !talk.quiet {
        say("hint: run the same command as before: what is forgotten is sent again, and settled");
        if repaired.holds_unknown_events {
            let option = setup::ledger_option(place);
            say(&format!(
                "hint: events are sent again only on your word: look at the features' usage in Stigg, then see \
                 `stigg-import settle{option}`"
            ));
        }
    }
    Ok(Exit::Settled)
}

fn told(path: &Path, repaired: &Repaired) -> String {
    let mut text = format!("{} is whole again; it was damaged: {}\n", path.display(), repaired.found);
    text.push_str("what Stigg has of customers, subscriptions and usage is forgotten: they are sent again\n");
    let batches = |count| if count == 1 { "1 batch".to_owned() } else { format!("{} batches", grouped(count)) };
    for (count, what) in [
        (repaired.batches_proved, "of events stay settled"),
        (repaired.batches_opened, "of events are open: nobody knows what was delivered"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{} {what}", batches(count));
        }
    }
    if repaired.holds_unknown_events {
        text.push_str("events that the ledger does not know are held\n");
    }
    if repaired.lost > 0 {
        let _ = writeln!(text, "{} in the file could not be read", counted(repaired.lost, "place"));
    }
    let runs = if repaired.runs == 1 { "1 run is".to_owned() } else { format!("{} runs are", grouped(repaired.runs)) };
    let _ = writeln!(text, "{runs} known; the damaged file is kept as {}", repaired.kept_at.display());
    text
}

fn as_json(repaired: &Repaired) -> serde_json::Value {
    json!({
        "repaired": true,
        "found": repaired.found,
        "kept_at": repaired.kept_at,
        "runs": repaired.runs,
        "batches_proved": repaired.batches_proved,
        "batches_opened": repaired.batches_opened,
        "lost": repaired.lost,
        "holds_unknown_events": repaired.holds_unknown_events,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_tells_what_is_forgotten_open_and_held() {
        let repaired = Repaired {
            kept_at: "ledger.db.damaged".into(),
            found: "database disk image is malformed".to_owned(),
            runs: 3,
            batches_proved: 1,
            batches_opened: 1200,
            lost: 2,
            holds_unknown_events: true,
        };
        insta::assert_snapshot!(told(Path::new("ledger.db"), &repaired), @"
        ledger.db is whole again; it was damaged: database disk image is malformed
        what Stigg has of customers, subscriptions and usage is forgotten: they are sent again
        1 batch of events stay settled
        1,200 batches of events are open: nobody knows what was delivered
        events that the ledger does not know are held
        2 places in the file could not be read
        3 runs are known; the damaged file is kept as ledger.db.damaged
        ");
    }
}
