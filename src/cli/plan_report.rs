//! A plan as a person and as a program reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::exit::Exit;
use super::report::{self, Tense, counted, grouped, quoted};
use crate::ledger::rejects::Group;
use crate::pipeline::{ChangedFields, Finding, Live, Planned, PlannedStep, Summary};

/// Most reasons of a step that are shown.
const REASONS_SHOWN: usize = 5;

/// The object for programs.
pub(super) fn json(planned: &Planned, exit: Exit) -> Value {
    let steps: Vec<Value> = planned.steps.iter().map(step_json).collect();
    json!({
        "ok": exit == Exit::Settled,
        "exit": exit as i32,
        "stopped": planned.stopped.as_ref().map(ToString::to_string),
        "to_send": planned.steps.iter().map(to_send).sum::<u64>(),
        "requests": planned.steps.iter().map(|step| step.requests).sum::<u64>(),
        "seconds": seconds(planned),
        "steps": steps,
    })
}

fn step_json(step: &PlannedStep) -> Value {
    json!({
        "name": step.summary.name,
        "entity": step.summary.entity,
        "rows": step.summary.rows,
        "records": step.summary.records,
        "create": step.summary.created,
        "change": step.summary.changed,
        "unchanged": step.summary.unchanged,
        "rejected": step.summary.rejected,
        "filtered": step.summary.filtered,
        "since": step.summary.since,
        "requests": step.requests,
        "seconds": step.seconds,
        "rejects": step.reasons.iter().map(|group| json!({
            "field": group.field,
            "reason": group.reason,
            "count": group.count,
            "samples": group.samples.iter().map(|sample| json!({
                "place": sample.place.to_string(),
                "value": sample.value,
                "reason": sample.reason,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "findings": step.findings,
        "references_unasked": step.unasked,
        "changed_fields": step.changed_fields,
        "live": step.live,
    })
}

fn to_send(step: &PlannedStep) -> u64 {
    step.summary.created + step.summary.changed
}

/// How long all of it takes; none where a rate is not limited.
fn seconds(planned: &Planned) -> Option<f64> {
    planned.steps.iter().map(|step| step.seconds).sum()
}

/// The text for people.
pub(super) fn text(planned: &Planned) -> String {
    let steps: Vec<_> = planned.steps.iter().map(|step| step.summary.clone()).collect();
    let duration_s = steps.iter().map(|step| step.duration_s).sum();
    let summary = Summary { run: 0, ok: true, exit: 0, duration_s, stopped: None, steps };
    let mut text = report::summary(&summary, Tense::Planned);
    text.push('\n');
    for step in &planned.steps {
        let name = &step.summary.name;
        let _ = match to_send(step) {
            0 => writeln!(text, "{name}: nothing to send"),
            records => writeln!(text, "{name}: {}", effort(records, step.requests, step.seconds)),
        };
        reasons(&mut text, &step.reasons);
        findings(&mut text, &step.findings);
        if step.unasked > 0 {
            let _ = writeln!(
                text,
                "  {} refer to customers that no step has and that Stigg was not asked for: there are too many",
                counted(step.unasked, "record")
            );
        }
        if let Some(found) = &step.changed_fields {
            changed_fields(&mut text, found);
        }
        if let Some(found) = &step.live {
            live(&mut text, found);
        }
    }
    if planned.steps.len() > 1 && planned.steps.iter().filter(|step| to_send(step) > 0).count() > 1 {
        let (records, requests) =
            planned.steps.iter().fold((0, 0), |sum, step| (sum.0 + to_send(step), sum.1 + step.requests));
        let _ = writeln!(text, "in all: {}", effort(records, requests, seconds(planned)));
    }
    text
}

fn effort(records: u64, requests: u64, seconds: Option<f64>) -> String {
    let mut text = format!("{}, {}", counted(records, "record"), counted(requests, "request"));
    if let Some(seconds) = seconds {
        // Shorter than a second is not worth a number.
        let long = if seconds < 1.0 { "a second".to_owned() } else { report::duration(seconds) };
        let _ = write!(text, ", about {long} at the rate limit");
    }
    text
}

fn reasons(text: &mut String, reasons: &[Group]) {
    for group in reasons.iter().take(REASONS_SHOWN) {
        let field = group.field.as_deref().map(|field| format!("{field}: ")).unwrap_or_default();
        // Said once where it is the same for all that are shown.
        let said = match group.samples.as_slice() {
            [first, rest @ ..] if rest.iter().all(|sample| sample.reason == first.reason) => &first.reason,
            _ => &group.reason,
        };
        let _ = writeln!(text, "  {} would be rejected: {field}{said}", grouped(group.count));
        for sample in &group.samples {
            let value = sample.value.as_deref().map(|value| format!(": {}", quoted(value))).unwrap_or_default();
            let reason = if sample.reason == *said { String::new() } else { format!(": {}", sample.reason) };
            let _ = writeln!(text, "    {}{value}{reason}", sample.place);
        }
    }
    if reasons.len() > REASONS_SHOWN {
        let rest: u64 = reasons[REASONS_SHOWN..].iter().map(|group| group.count).sum();
        let kinds = counted((reasons.len() - REASONS_SHOWN) as u64, "other reason");
        let _ = writeln!(text, "  {} would be rejected for {kinds}; --json has all", grouped(rest));
    }
}

fn findings(text: &mut String, findings: &[Finding]) {
    for finding in findings.iter().take(REASONS_SHOWN) {
        let value = finding.value.as_deref().map(|value| format!(" {}", quoted(value))).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {} would be refused: {}{value}: {}",
            grouped(finding.records),
            finding.field,
            finding.kind.says()
        );
        for sample in &finding.samples {
            let value = if finding.value.is_some() { String::new() } else { format!(": {}", quoted(&sample.value)) };
            let _ = writeln!(text, "    {}{value}", sample.place);
        }
        let _ = writeln!(text, "    to do: {}", finding.remedy);
    }
    if findings.len() > REASONS_SHOWN {
        let rest: u64 = findings[REASONS_SHOWN..].iter().map(|finding| finding.records).sum();
        let kinds = counted((findings.len() - REASONS_SHOWN) as u64, "other reason");
        let _ = writeln!(text, "  {} would be refused for {kinds}; --json has all", grouped(rest));
    }
}

fn changed_fields(text: &mut String, changed: &ChangedFields) {
    if changed.known > 0 {
        let _ = writeln!(text, "  {} changed: {}", grouped(changed.known), counts(&changed.fields));
        for sample in changed.samples.iter().take(REASONS_SHOWN) {
            let _ = writeln!(text, "    {} ({}): {}", sample.key, sample.place, sample.fields.join(", "));
        }
        more(text, changed.known, changed.samples.len());
    }
    if changed.unknown > 0 {
        let count = grouped(changed.unknown);
        let _ = writeln!(text, "  {count} changed, and the ledger does not know in which fields; --live asks Stigg");
    }
    if changed.unasked > 0 {
        let count = grouped(changed.unasked);
        let _ = writeln!(text, "  {count} changed, and were not looked at: there are too many; --live asks Stigg");
    }
}

fn counts(fields: &BTreeMap<String, u64>) -> String {
    fields.iter().map(|(field, count)| format!("{field} {}", grouped(*count))).collect::<Vec<_>>().join(", ")
}

/// How many are not shown.
fn more(text: &mut String, records: u64, in_json: usize) {
    if records > REASONS_SHOWN as u64 {
        let _ = writeln!(text, "    … and {} more; --json has {in_json}", grouped(records - REASONS_SHOWN as u64));
    }
}

fn live(text: &mut String, live: &Live) {
    let mut parts = Vec::new();
    if live.absent > 0 {
        parts.push(format!("{} not there", grouped(live.absent)));
    }
    if live.different > 0 {
        parts.push(format!("{} with other content ({})", grouped(live.different), counts(&live.fields)));
    }
    if live.equal > 0 {
        parts.push(format!("{} as the source has them", grouped(live.equal)));
    }
    if live.unread > 0 {
        parts.push(format!("{} could not be read", grouped(live.unread)));
    }
    if parts.is_empty() {
        return;
    }
    let _ = writeln!(text, "  of these Stigg has: {}", parts.join(", "));
    for sample in live.samples.iter().take(REASONS_SHOWN) {
        let what: Vec<String> = sample.differences.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "    {} ({}): {}", sample.key, sample.place, what.join("; "));
    }
    more(text, live.different, live.samples.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_nobody_looked_at_are_counted() {
        let mut text = String::new();
        changed_fields(&mut text, &ChangedFields { unknown: 1200, unasked: 3, ..ChangedFields::default() });
        insta::assert_snapshot!(text, @"
        1,200 changed, and the ledger does not know in which fields; --live asks Stigg
        3 changed, and were not looked at: there are too many; --live asks Stigg
        ");
    }
}
