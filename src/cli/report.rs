//! What a person reads at the end of a run.

use std::fmt::Write as _;

use crate::entity::KEY_SEPARATOR;
use crate::pipeline::{StepSummary, Summary};
use crate::record::Reject;

/// A number with thousands separators: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if whole < 120 {
        format!("{whole} s")
    } else if whole < 7200 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole % 3600 / 60)
    }
}

/// Most characters of a value that are shown; the rejects file has the whole row.
const VALUE_CHARS_MAX: usize = 60;

/// A value in quotes, on one line: a key's parts with blanks between them, a long value cut.
pub fn quoted(value: &str) -> String {
    let text = value.trim_end_matches(KEY_SEPARATOR).replace(KEY_SEPARATOR, " ");
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((at, _)) => {
            format!("{:?} and {} more", &text[..at], counted(text[at..].chars().count() as u64, "character"))
        }
        None => format!("{text:?}"),
    }
}

/// `field "value": reason`, without what there is not.
pub fn what_is_wrong(reject: &Reject) -> String {
    let mut words: Vec<String> = reject.field.iter().map(ToString::to_string).collect();
    words.extend(reject.value.as_deref().map(quoted));
    match words.is_empty() {
        true => reject.reason.to_string(),
        false => format!("{}: {}", words.join(" "), reject.reason),
    }
}

/// The words for what a run or a plan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tense {
    /// A run: accepted, failed, open.
    Done,
    /// A plan: to create, to change.
    Planned,
}

/// One of a step's counts.
type Counted = fn(&StepSummary) -> u64;
/// A column of the table: title and count.
type Column = (&'static str, Counted);

/// A table of the steps, and below it what the sum says.
pub fn summary(summary: &Summary, tense: Tense) -> String {
    let mut columns: Vec<Column> = vec![("rows", |step| step.rows), ("records", |step| step.records)];
    match tense {
        Tense::Done => columns.push(("accepted", |step| step.accepted)),
        Tense::Planned => columns
            .extend([("create", (|step: &StepSummary| step.created) as Counted), ("change", |step| step.changed)]),
    }
    columns.push(("unchanged", |step| step.unchanged));
    columns.push(("rejected", |step| step.rejected));
    let optional: [Column; 5] = [
        ("filtered", |step| step.filtered),
        ("refused", |step| step.failed),
        ("open", |step| step.open),
        ("missing", |step| step.missing.unwrap_or(0)),
        ("kept newer", |step| step.kept.unwrap_or(0)),
    ];
    for (title, count) in optional {
        // A plan's open records are those that it would send; they have their own columns.
        if summary.total(count) > 0 && !(tense == Tense::Planned && title == "open") {
            columns.push((title, count));
        }
    }
    let mut rows: Vec<Vec<String>> = vec![
        std::iter::once("step".to_owned())
            .chain(columns.iter().map(|(title, _)| (*title).to_owned()))
            .chain(["time".to_owned()])
            .collect(),
    ];
    for step in &summary.steps {
        let counts = columns.iter().map(|(_, count)| grouped(count(step)));
        rows.push(std::iter::once(step.name.clone()).chain(counts).chain([duration(step.duration_s)]).collect());
    }
    let mut text = aligned(&rows);
    if tense == Tense::Done {
        let _ = write!(text, "\n{}\n", verdict(summary));
    }
    text
}

fn verdict(summary: &Summary) -> String {
    let records = summary.total(|step| step.records);
    let parts = [
        ("accepted", summary.total(|step| step.accepted)),
        ("unchanged", summary.total(|step| step.unchanged)),
        ("rejected", summary.total(|step| step.rejected)),
        ("refused by the API", summary.total(|step| step.failed)),
        ("filtered", summary.total(|step| step.filtered)),
        ("open", summary.total(|step| step.open)),
    ];
    let sum = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{} {word}", grouped(*count)))
        .collect::<Vec<_>>()
        .join(" + ");
    let unbalanced = summary.unbalanced();
    if !unbalanced.is_empty() {
        return format!("records are missing from the account of {}: please report this bug", unbalanced.join(", "));
    }
    match records {
        // Why is said by the reason for stopping; the source may well have rows.
        0 if summary.stopped.is_some() => "nothing was sent: the run stopped before a row was read".to_owned(),
        0 => "nothing was read: the source has no rows".to_owned(),
        _ => format!(
            "every record is accounted for: {} = {}",
            grouped(records),
            if sum.is_empty() { "0".to_owned() } else { sum }
        ),
    }
}

/// Rows of cells, the first column left, the others right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column == 0 {
                let _ = write!(line, "{cell:<width$}");
            } else {
                let _ = write!(line, "  {cell:>width$}");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::pipeline::Progress;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(duration(0.44), "0.4 s");
        assert_eq!(duration(42.0), "42 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
    }

    #[test]
    fn a_value_is_shown_on_one_line_and_not_whole() {
        assert_eq!(quoted("cus_1\u{1f}feature-seats\u{1f}"), "\"cus_1 feature-seats\"");
        assert_eq!(quoted("two\nlines \u{1b}[31m"), "\"two\\nlines \\u{1b}[31m\"");
        assert_eq!(quoted(&"é".repeat(61)), format!("\"{}\" and 1 character more", "é".repeat(60)));
    }

    #[test]
    fn the_account_of_a_run_is_told_in_a_sentence() {
        let progress = Progress::default();
        progress.accepted.add(2);
        let told = |records: u64, stopped: Option<&str>| {
            let steps = vec![StepSummary::new("customers", Entity::Customer, records, &progress, 1.0)];
            let stopped = stopped.map(str::to_owned);
            verdict(&Summary { run: 1, ok: false, exit: 0, duration_s: 1.0, stopped, steps })
        };
        let none = |stopped: Option<&str>| {
            let stopped = stopped.map(str::to_owned);
            verdict(&Summary { run: 1, ok: false, exit: 0, duration_s: 1.0, stopped, steps: Vec::new() })
        };
        let all = [told(2, None), told(3, None), none(None), none(Some("interrupted"))];
        insta::assert_snapshot!(all.join("\n"), @"
        every record is accounted for: 2 = 2 accepted
        records are missing from the account of customers: please report this bug
        nothing was read: the source has no rows
        nothing was sent: the run stopped before a row was read
        ");
    }

    #[test]
    fn tables_align() {
        let rows = [vec!["step".into(), "rows".into()], vec!["customers".into(), "9".into()]];
        assert_eq!(aligned(&rows), "step       rows\ncustomers     9\n");
    }
}
