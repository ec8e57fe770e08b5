//! `settle`: what became of events whose outcome nobody knows.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::json;

use super::args::{self, BecameOf, Talk};
use super::exit::{Exit, Failure};
use super::report::{aligned, counted};
use super::{out, out_json, setup};
use crate::batch::Outcome;
use crate::entity::Entity;
use crate::ledger::{Ledger, LedgerPlace, OpenBatch, Scope, UNKNOWN_EVENTS};

/// What is said while events are held that a repaired ledger does not know.
const UNKNOWN_HELD: &str = "the ledger was damaged: events that it does not know are held, since they may have been delivered; take those \
     that Stigg has out of the source, then say `settle --as lost`\n";

/// Lists them, or takes a person's word for them.
pub(super) async fn main(args: args::Settle, talk: &Talk) -> Result<Exit, Failure> {
    let place = &args.ledger.ledger;
    let Some(word) = args.became else {
        let (open, unknown) = match setup::ledger_to_read(place).await? {
            Some(ledger) => (open_events(ledger.as_ref()).await?, hold_unknown(ledger.as_ref()).await?),
            None => (Vec::new(), Vec::new()),
        };
        return list(&open, !unknown.is_empty(), place, talk);
    };
    // Not made for this.
    if setup::ledger_to_read(place).await?.is_none() {
        return list(&[], false, place, talk);
    }
    let (lock, ledger) = setup::ledger_to_write(place).await?;
    let open = open_events(ledger.as_ref()).await?;
    // Each run that had no answer left a batch, of the same events.
    let hashes = |(target, batch): &'_ (String, OpenBatch)| {
        batch.items.iter().map(|item| (target.clone(), item.hash)).collect::<Vec<_>>()
    };
    let events = open.iter().flat_map(hashes).collect::<HashSet<_>>().len() as u64;
    for (_, batch) in &open {
        match word {
            BecameOf::Delivered => ledger.settle(batch.id, &batch.outcomes(|_| Outcome::Accepted)).await,
            BecameOf::Lost => ledger.forget(batch.id).await,
        }
        .map_err(|error| setup::ledger_failure(&error))?;
    }
    let unknown = hold_unknown(ledger.as_ref()).await?;
    // One word at a time: what was open may have been sent when the rest was not.
    let let_go = word == BecameOf::Lost && open.is_empty();
    if let_go {
        for scope in &unknown {
            ledger.set_mark(scope, UNKNOWN_EVENTS, None).await.map_err(|error| setup::ledger_failure(&error))?;
        }
    }
    ledger.close().await.map_err(|error| setup::ledger_failure(&error))?;
    lock.release().await;
    if talk.json() {
        out_json(&json!({ "settled": events, "as": word.name() }))?;
        return Ok(Exit::Settled);
    }
    if !unknown.is_empty() {
        out(match let_go {
            true => "events that the ledger does not know are not held any more: the next run sends them\n",
            false => UNKNOWN_HELD,
        });
    }
    out(&match (events, word) {
        (0, _) if !unknown.is_empty() => return Ok(Exit::Settled),
        (0, _) => "no events are open\n".to_owned(),
        (_, BecameOf::Delivered) => format!("{} settled as delivered; no run sends them\n", counted(events, "event")),
        (_, BecameOf::Lost) => {
            format!(
                "{} settled as lost; the next run that has them in its source sends them\n",
                counted(events, "event")
            )
        }
    });
    Ok(Exit::Settled)
}

/// Where events that the ledger does not know are held, since a repair.
async fn hold_unknown(ledger: &dyn Ledger) -> Result<Vec<Scope>, Failure> {
    let fail = |error| setup::ledger_failure(&error);
    let mut held = Vec::new();
    for scope in ledger.scopes().await.map_err(fail)? {
        if ledger.mark(&scope, UNKNOWN_EVENTS).await.map_err(fail)?.is_some() {
            held.push(scope);
        }
    }
    Ok(held)
}

/// Every open batch of events, with its target.
async fn open_events(ledger: &dyn Ledger) -> Result<Vec<(String, OpenBatch)>, Failure> {
    let fail = |error| setup::ledger_failure(&error);
    let mut open = Vec::new();
    for scope in ledger.scopes().await.map_err(fail)? {
        match scope.entity {
            // The next run settles these by itself.
            Entity::Customer | Entity::Subscription | Entity::Usage => {}
            Entity::Event => {
                let batches = ledger.open_batches(&scope).await.map_err(fail)?;
                open.extend(batches.into_iter().map(|batch| (scope.target.clone(), batch)));
            }
        }
    }
    Ok(open)
}

fn list(open: &[(String, OpenBatch)], unknown: bool, ledger: &LedgerPlace, talk: &Talk) -> Result<Exit, Failure> {
    if talk.json() {
        let batches: Vec<_> = open
            .iter()
            .map(|(target, batch)| {
                json!({
                    "target": target,
                    "run": batch.run.0,
                    "batch": batch.id.0,
                    "sent_at": batch.opened_at.to_string(),
                    "events": batch.items.len(),
                })
            })
            .collect();
        out_json(&json!({ "open": batches, "holds_unknown_events": unknown }))?;
        return Ok(Exit::Settled);
    }
    if unknown {
        out(UNKNOWN_HELD);
    }
    if open.is_empty() {
        if !unknown {
            out("no events are open\n");
        }
        return Ok(Exit::Settled);
    }
    let mut rows = vec![["target", "run", "sent (UTC)", "events"].map(str::to_owned).to_vec()];
    rows.extend(open.iter().map(|(target, batch)| {
        let sent = batch.opened_at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        vec![target.clone(), batch.run.to_string(), sent, batch.items.len().to_string()]
    }));
    let mut text = aligned(&rows);
    let option = setup::ledger_option(ledger);
    let _ = writeln!(
        text,
        "hint: look at the features' usage in Stigg, then `stigg-import settle --as delivered{option}` (no run sends them) \
         or `--as lost` (the next run sends them)"
    );
    out(&text);
    Ok(Exit::Settled)
}
