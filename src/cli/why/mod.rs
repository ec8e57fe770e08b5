//! `why`: one record's story, from the ledger and the rejects files.

mod source;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::cli::args::{Input, LedgerAt, Talk};
use crate::cli::exit::{Exit, Failure};
use crate::cli::source_args::MappedSource;
use crate::cli::{out, out_json, say, setup};
use crate::entity::{Entity, KEY_SEPARATOR, Schema};
use crate::ledger::rejects::{self, Entry, Reader, Why as Reason};
use crate::ledger::{CutoverLedger, Event, Fate, Replacement, Scope};
use crate::record::KeyHash;

pub(crate) const LONG_ABOUT: &str = "Tells what became of one record: each time it was sent, when, by which run, and what was \
    answered; where it was rejected, and why; and how far the move of a paid subscription is.\n\n\
    A customer or subscription is named by its id, usage by customer, feature and, where there is one, resource. The ledger \
    keeps of each record the delivery of its present content, and refusals of the latest run; rows are found in the rejects \
    files, by any of their cells.\n\n\
    With the words of the run (--mapping and a source, or --pipeline) the source is read, too: the record's row, what the \
    mapping says of each field, and what would be sent.";

pub(crate) const EXAMPLES: &str = "Examples:\n  \
    stigg-import why cus_123\n  \
    stigg-import why cus_123 feature-seats\n  \
    stigg-import why cus_123 --mapping customers.toml --csv customers.csv\n  \
    stigg-import why sub_123 --json";

/// Most lines of the rejects files that are shown.
const REJECTS_MAX: usize = 50;

/// `why`
#[derive(Debug, Clone, Args)]
pub struct Why {
    /// The record's key: a customer's or subscription's id; of usage: customer, feature, resource
    #[arg(value_name = "KEY", required = true, num_args = 1..=3)]
    pub record: Vec<String>,
    /// Ledger.
    #[command(flatten)]
    pub ledger: LedgerAt,
    /// A pipeline file, to look the record up in its sources, too
    #[arg(long, value_name = "PIPELINE.toml", conflicts_with = "mapping")]
    pub pipeline: Option<PathBuf>,
    /// Mapping and source, to look the record up there, too.
    #[command(flatten)]
    pub mapped: MappedSource,
}

/// What happened to records of one entity at one target.
struct Told {
    scope: Scope,
    events: Vec<Event>,
}

/// Prints it. Nothing found is an answer, too.
pub(super) async fn main(args: Why, talk: &Talk) -> Result<Exit, Failure> {
    let place = &args.ledger.ledger;
    let (mut told, mut moves) = (Vec::new(), Vec::new());
    if let Some(ledger) = setup::whole_ledger_to_read(place).await? {
        told = history(&*ledger, &args.record).await?;
        moves = replacements(&*ledger, &args.record).await?;
    }
    let (rejected, more) = rejected(place.local(), &args.record)?;
    let in_source = match args.pipeline.is_some() || args.mapped.mapping.is_some() {
        true => {
            let input = Input { pipeline: args.pipeline.clone(), mapped: args.mapped.clone() };
            Some(source::look_up(&setup::any_work(&input, "why KEY")?, &args.record, place).await?)
        }
        false => None,
    };
    if talk.json() {
        let mut object = as_json(&args.record, &told, &rejected, &moves);
        if let Some(in_source) = &in_source {
            object["source"] = source::as_json(in_source);
        }
        out_json(&object)?;
    } else {
        let found = in_source.as_deref().map(source::text).unwrap_or_default();
        out(&format!("{found}{}", text(&args.record.join(" "), &told, &rejected, more, &moves)));
    }
    Ok(Exit::Settled)
}

/// Keys that the words may be, of an entity.
fn keys(entity: Entity, words: &[String]) -> Option<String> {
    match entity {
        Entity::Customer | Entity::Subscription => match words {
            [id] => Some(id.clone()),
            _ => None,
        },
        Entity::Usage => {
            let [customer, feature, rest @ ..] = words else { return None };
            let resource = rest.first().map_or("", String::as_str);
            Some([customer.as_str(), feature, resource].join(&KEY_SEPARATOR.to_string()))
        }
        // An event's key has an id of its own, by which it is known where it has one.
        Entity::Event => Some(words.join(&KEY_SEPARATOR.to_string())),
    }
}

async fn history(ledger: &dyn CutoverLedger, words: &[String]) -> Result<Vec<Told>, Failure> {
    let fail = |error| setup::ledger_failure(&error);
    let mut told = Vec::new();
    for scope in ledger.scopes().await.map_err(fail)? {
        let Some(key) = keys(scope.entity, words) else { continue };
        let events = ledger.history(&scope, KeyHash::of(&key)).await.map_err(fail)?;
        if !events.is_empty() {
            told.push(Told { scope, events });
        }
    }
    Ok(told)
}

/// Paid subscriptions of that id, and those of that customer.
async fn replacements(ledger: &dyn CutoverLedger, words: &[String]) -> Result<Vec<(String, Replacement)>, Failure> {
    let fail = |error| setup::ledger_failure(&error);
    let [id] = words else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for target in ledger.replacement_targets().await.map_err(fail)? {
        let mut of_target: Vec<Replacement> =
            ledger.replacement(&target, id).await.map_err(fail)?.into_iter().collect();
        for other in ledger.replacements_of_customer(&target, id).await.map_err(fail)? {
            if !of_target.contains(&other) {
                of_target.push(other);
            }
        }
        found.extend(of_target.into_iter().map(|replacement| (target.clone(), replacement)));
    }
    Ok(found)
}

/// A line of a rejects file.
struct Rejected {
    run: u64,
    step: String,
    entity: Schema,
    entry: Entry,
}

/// Lines whose key it is, or one of whose rows has every word in a cell; and whether there are more.
fn rejected(ledger: &Path, words: &[String]) -> Result<(Vec<Rejected>, bool), Failure> {
    let fail = |error: rejects::RejectsError| Failure::of(Exit::Config, &error);
    let mut found = Vec::new();
    for path in rejects::files(ledger, None).map_err(fail)? {
        let mut reader = match Reader::open(&path) {
            Ok(reader) => reader,
            // That of a killed run may hold nothing.
            Err(error) => {
                say(&format!("{error}; the others are told"));
                continue;
            }
        };
        let header = reader.header().clone();
        // A damaged line is no reason not to tell the others.
        for entry in reader.by_ref().filter_map(Result::ok) {
            let is_key = match &entry.why {
                Reason::Failed { key, .. } => key.split(KEY_SEPARATOR).filter(|part| !part.is_empty()).eq(words),
                Reason::Rejected { .. } => false,
            };
            let has_words =
                |row: &Vec<Option<String>>| words.iter().all(|word| row.iter().flatten().any(|cell| cell == word));
            if is_key || entry.rows.iter().any(has_words) {
                if found.len() == REJECTS_MAX {
                    return Ok((found, true));
                }
                found.push(Rejected { run: header.run.0, step: header.step.clone(), entity: header.entity, entry });
            }
        }
    }
    Ok((found, false))
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Open => "not known yet: the next run finds out".to_owned(),
        Fate::Accepted => "accepted".to_owned(),
        Fate::Failed { code } => format!("refused: {code}"),
        Fate::NeverKnown => "never known: sent again since, or given up".to_owned(),
    }
}

fn text(name: &str, told: &[Told], rejected: &[Rejected], more: bool, moves: &[(String, Replacement)]) -> String {
    if told.is_empty() && rejected.is_empty() && moves.is_empty() {
        return format!(
            "{name}: nothing is known of it. It was never sent, it was filtered, or its row never came; ids are compared \
             as they are written\n"
        );
    }
    let mut text = String::new();
    for Told { scope, events } in told {
        text.push_str(&format!("{} {name}, at {}\n", scope.entity.name(), scope.target));
        for event in events {
            let tries = if event.attempts > 1 { format!(", {} tries", event.attempts) } else { String::new() };
            let request = event.request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
            let task = event.task.as_ref().map(|id| format!(", task {id}")).unwrap_or_default();
            text.push_str(&format!(
                "  {}, run {} ({}), batch {}: {}{tries}{request}{task}\n",
                event.opened_at.strftime("%Y-%m-%d %H:%M:%S"),
                event.run,
                event.step,
                event.batch.0,
                fate(&event.fate)
            ));
        }
    }
    for Rejected { run, step, entity, entry } in rejected {
        let what = match &entry.why {
            Reason::Rejected { field, reason, .. } => {
                let field = field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
                format!("rejected, nothing was sent: {field}{reason}")
            }
            Reason::Failed { code, message, .. } => format!("refused by the API: {code}: {message}"),
        };
        text.push_str(&format!("run {run}, {step} ({}): {}: {what}\n", entity.name(), entry.place));
    }
    if more {
        text.push_str(&format!("… more than {REJECTS_MAX} rejected rows have it\n"));
    }
    for (target, replacement) in moves {
        let parked = replacement.stage.parked();
        text.push_str(&format!(
            "paid subscription {} of customer {}, for {} at {}: {}{}, since {} (at {target})\n",
            replacement.subscription_id,
            replacement.customer_id,
            replacement.original.id,
            replacement.original.provider,
            replacement.stage.name(),
            parked.map(|parked| format!(", {}: {}", parked.reason, parked.detail)).unwrap_or_default(),
            replacement.changed_at.strftime("%Y-%m-%d %H:%M:%S")
        ));
    }
    text
}

fn as_json(key: &[String], told: &[Told], rejected: &[Rejected], moves: &[(String, Replacement)]) -> Value {
    let sent: Vec<Value> = told
        .iter()
        .flat_map(|Told { scope, events }| {
            events.iter().map(move |event| {
                json!({
                    "target": scope.target,
                    "entity": scope.entity.name(),
                    "run": event.run.0,
                    "step": event.step,
                    "batch": event.batch.0,
                    "sent_at": event.opened_at.to_string(),
                    "settled_at": event.settled_at.map(|at| at.to_string()),
                    "outcome": fate(&event.fate),
                    "tries": event.attempts,
                    "request_id": event.request_id,
                    "task": event.task,
                })
            })
        })
        .collect();
    let rejected: Vec<Value> = rejected
        .iter()
        .map(|Rejected { run, step, entity, entry }| {
            json!({
                "run": run,
                "step": step,
                "entity": entity.name(),
                "place": entry.place.to_string(),
                "sent": matches!(entry.why, Reason::Failed { .. }),
                "reason": entry.why.reason(),
                "columns": &entry.columns[..],
                "rows": entry.rows,
            })
        })
        .collect();
    let moves: Vec<Value> = moves
        .iter()
        .map(|(target, replacement)| {
            let parked = replacement.stage.parked();
            json!({
                "target": target,
                "subscription_id": replacement.subscription_id,
                "customer_id": replacement.customer_id,
                "plan_id": replacement.plan_id,
                "provider": replacement.original.provider,
                "original_id": replacement.original.id,
                "billing_id": replacement.billing_id,
                "stage": replacement.stage.name(),
                "reason": parked.map(|parked| parked.reason.name()),
                "detail": parked.map(|parked| parked.detail.as_str()),
                "changed_at": replacement.changed_at.to_string(),
            })
        })
        .collect();
    json!({ "key": key, "sent": sent, "rejected": rejected, "paid_subscriptions": moves })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_record_is_told_in_words() {
        let fates = [Fate::Open, Fate::Accepted, Fate::Failed { code: "BadUserInput".to_owned() }, Fate::NeverKnown];
        insta::assert_snapshot!(fates.iter().map(fate).collect::<Vec<_>>().join("\n"), @"
        not known yet: the next run finds out
        accepted
        refused: BadUserInput
        never known: sent again since, or given up
        ");
    }
}
