//! `status`: the runs of this folder, and what is still open.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::{self, Talk};
use super::exit::{Exit, Failure};
use super::report::{aligned, counted, grouped};
use super::{out, out_json, setup};
use crate::entity::Entity;
use crate::ledger::RunInfo;

/// Prints it.
pub(super) async fn main(args: args::Status, talk: &Talk) -> Result<Exit, Failure> {
    if args.cutover {
        return super::cutover::status(&args.ledger.ledger, talk).await;
    }
    let Some(ledger) = setup::ledger_to_read(&args.ledger.ledger).await? else {
        if talk.json() {
            out_json(&json!({ "runs": [], "scopes": [] }))?;
        } else {
            out(&format!("no runs yet: there is no ledger at {}\n", args.ledger.ledger));
        }
        return Ok(Exit::Settled);
    };
    let fail = |error| setup::ledger_failure(&error);
    let runs = ledger.runs(args.runs).await.map_err(fail)?;
    let mut scopes = Vec::new();
    for scope in ledger.scopes().await.map_err(fail)? {
        let counts = ledger.counts(&scope).await.map_err(fail)?;
        scopes.push((scope, counts));
    }
    if talk.json() {
        let runs: Vec<Value> = runs.iter().map(run_json).collect();
        let scopes: Vec<Value> = scopes
            .iter()
            .map(|(scope, counts)| {
                json!({
                    "target": scope.target,
                    "entity": scope.entity.name(),
                    "known_records": counts.known_records,
                    "open_batches": counts.open_batches,
                    "open_records": counts.open_records,
                })
            })
            .collect();
        out_json(&json!({ "runs": runs, "scopes": scopes }))?;
        return Ok(Exit::Settled);
    }
    let mut rows = vec![["what", "run", "began (UTC)", "ended (UTC)", "exit"].map(str::to_owned).to_vec()];
    for run in &runs {
        let (ended, exit) = match &run.finish {
            Some(finish) => (finish.finished_at.strftime("%Y-%m-%d %H:%M:%S").to_string(), finish.exit.to_string()),
            None => ("going on, or killed".to_owned(), "-".to_owned()),
        };
        let began = run.start.started_at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        rows.push(vec![run.start.identity.clone(), run.id.to_string(), began, ended, exit]);
    }
    let mut text = aligned(&rows);
    text.push('\n');
    let mut open = 0;
    for (scope, counts) in &scopes {
        open += counts.open_batches;
        let _ = writeln!(
            text,
            "{}: {} known{}",
            scope.target,
            counted(counts.known_records, &format!("{} record", scope.entity.name())),
            match counts.open_batches {
                0 => String::new(),
                1 => format!(", {} open in 1 batch", grouped(counts.open_records)),
                more => format!(", {} open in {} batches", grouped(counts.open_records), grouped(more)),
            }
        );
    }
    if open > 0 {
        text.push_str("hint: run the same command again; what is open is sent again and settled\n");
    }
    if scopes.iter().any(|(scope, counts)| scope.entity == Entity::Event && counts.open_batches > 0) {
        text.push_str("hint: events of more than 12 hours ago are not sent again; `stigg-import settle` lists them\n");
    }
    out(&text);
    Ok(Exit::Settled)
}

fn run_json(run: &RunInfo) -> Value {
    json!({
        "run": run.id.0,
        "what": run.start.identity,
        "started_at": run.start.started_at.to_string(),
        "finished_at": run.finish.as_ref().map(|finish| finish.finished_at.to_string()),
        "exit": run.finish.as_ref().map(|finish| finish.exit),
        "summary": run.finish.as_ref().and_then(|finish| serde_json::from_str::<Value>(&finish.summary_json).ok()),
    })
}
