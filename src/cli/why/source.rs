//! What the source has of a record now: row, mapping, request.

use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};
use crate::cli::setup::{self, Work};
use crate::clock::SystemClock;
use crate::entity::Schema;
use crate::ledger::LedgerPlace;
use crate::mapping::MappingFile;
use crate::pipeline::canary::leaves;
use crate::pipeline::find::{FindError, Found, find};
use crate::record::{KeyHash, Origin};

/// What a step's source has of it.
pub(super) struct InSource {
    step: String,
    mapping: std::sync::Arc<MappingFile>,
    found: Vec<Found>,
}

/// Looks the words up in each step whose keys they can be.
pub(super) async fn look_up(work: &Work, words: &[String], ledger: &LedgerPlace) -> Result<Vec<InSource>, Failure> {
    let mut all = Vec::new();
    for step in &work.steps {
        let key = match step.mapping.schema() {
            Schema::Import(entity) => super::keys(entity, words),
            Schema::PaidSubscription => words.first().filter(|_| words.len() == 1).cloned(),
        };
        let Some(key) = key else { continue };
        let spill = setup::spill_dir(ledger);
        let spill = if spill.is_dir() { spill } else { std::env::temp_dir() };
        let found = find(step, KeyHash::of(&key), words, &spill, &SystemClock).await.map_err(|error| match &error {
            FindError::Open(error) => setup::open_failure(error),
            FindError::Broke { .. } => Failure::of(Exit::Source, &error).hint("mend the source and ask again"),
        })?;
        all.push(InSource { step: step.name.clone(), mapping: step.mapping.clone(), found });
    }
    Ok(all)
}

fn cells(origin: &Origin) -> Vec<(String, Option<String>)> {
    origin.rows().first().map_or_else(Vec::new, |row| {
        row.columns().iter().map(ToString::to_string).zip(row.cells().map(|cell| cell.map(str::to_owned))).collect()
    })
}

/// As a person reads it.
pub(super) fn text(all: &[InSource]) -> String {
    let mut text = String::new();
    for InSource { step, mapping, found } in all {
        if found.is_empty() {
            text.push_str(&format!("step {step}: no row of the source makes it now\n"));
        }
        for one in found {
            match one {
                Found::Rejected(reject) => text.push_str(&format!(
                    "step {step}: {}: would be rejected: {}\n",
                    reject.place,
                    crate::cli::report::what_is_wrong(reject)
                )),
                Found::Record { origin, request, .. } => record(&mut text, step, mapping, origin, request),
            }
        }
    }
    text
}

fn record(text: &mut String, step: &str, mapping: &MappingFile, origin: &Origin, request: &Value) {
    let rows = match origin.row_count() {
        1 => String::new(),
        rows => format!(", made of {rows} rows"),
    };
    text.push_str(&format!("step {step}: {}{rows}, by {}\n", origin.place(), mapping.name()));
    let row = cells(origin);
    if !row.is_empty() {
        text.push_str("  row\n");
        for (column, cell) in row {
            text.push_str(&format!(
                "    {column} = {}\n",
                cell.as_deref().map_or("NULL".to_owned(), |cell| format!("{cell:?}"))
            ));
        }
    }
    text.push_str("  mapping, and what it makes\n");
    let written = mapping.fields_as_written();
    for (path, value) in leaves(request) {
        let rule = written
            .iter()
            .find(|(field, _)| *field == path)
            .or_else(|| written.iter().find(|(field, _)| path.starts_with(&format!("{field}."))))
            .map_or("as is", |(_, rule)| rule.as_str());
        text.push_str(&format!("    {path} = {rule}  → {value}\n"));
    }
}

/// As a program reads it.
pub(super) fn as_json(all: &[InSource]) -> Value {
    let found = all.iter().flat_map(|InSource { step, mapping, found }| {
        found.iter().map(move |one| match one {
            Found::Rejected(reject) => json!({
                "step": step,
                "place": reject.place.to_string(),
                "rejected": crate::cli::report::what_is_wrong(reject),
            }),
            Found::Record { origin, request, .. } => json!({
                "step": step,
                "place": origin.place().to_string(),
                "row": cells(origin),
                "mapping": mapping.name(),
                "rules": mapping.fields_as_written(),
                "request": request,
            }),
        })
    });
    Value::Array(found.collect())
}
