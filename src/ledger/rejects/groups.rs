//! Rejects by what is wrong, in memory bounded by the number of kinds.

use std::collections::HashMap;

use crate::record::{Place, Reject};

/// Most groups that are told apart; further kinds are counted together.
const GROUPS_MAX: usize = 1000;

/// Most samples of a group.
const SAMPLES_MAX: usize = 3;

/// Entries with the same kind of reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Whether the API refused them (or they did not fit).
    pub failed: bool,
    /// The target field.
    pub field: Option<String>,
    /// The reason with numbers and quoted texts replaced by `…`; the API's code where it refused.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The first few.
    pub samples: Vec<Sample>,
}

/// One entry of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where it is.
    pub place: Place,
    /// The offending value, or the refused record's key.
    pub value: Option<String>,
    /// The reason as it was written.
    pub reason: String,
}

/// Groups entries as they come.
#[derive(Debug, Default)]
pub struct Groups {
    groups: HashMap<(bool, Option<String>, String), Group>,
    others: u64,
}

impl Groups {
    /// Adds a record or row that does not fit.
    pub fn add_reject(&mut self, reject: &Reject) {
        let sample = Sample { place: reject.place.clone(), value: reject.value.clone(), reason: reject.reason.clone() };
        self.add(false, reject.field.clone(), kind_of(&reject.reason, reject.value.as_deref()), sample);
    }

    /// Adds an entry of a kind.
    pub(super) fn add(&mut self, failed: bool, field: Option<String>, kind: String, sample: Sample) {
        let kind = (failed, field, kind);
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&kind) {
            self.others += 1;
            return;
        }
        let group = self.groups.entry(kind).or_insert_with_key(|(failed, field, reason)| Group {
            failed: *failed,
            field: field.clone(),
            reason: reason.clone(),
            count: 0,
            samples: Vec::new(),
        });
        group.count += 1;
        if group.samples.len() < SAMPLES_MAX {
            group.samples.push(sample);
        }
    }

    /// The groups, the largest first, and how many entries were of further kinds.
    pub fn into_sorted(self) -> (Vec<Group>, u64) {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        groups.sort_by(|a, b| {
            b.count.cmp(&a.count).then_with(|| (a.failed, &a.field, &a.reason).cmp(&(b.failed, &b.field, &b.reason)))
        });
        (groups, self.others)
    }
}

/// A shorter value may well be a word of ours.
const VALUE_CHARS_MIN: usize = 3;

/// A reason without what differs from row to row: the value that it is about, numbers, and texts in backticks or quotes.
pub(super) fn kind_of(reason: &str, value: Option<&str>) -> String {
    let without = value.filter(|value| value.trim().chars().count() >= VALUE_CHARS_MIN).map(|value| {
        // A quoted value goes with its quotes, also where it has one inside.
        [format!("`{value}`"), format!("\"{value}\"")]
            .iter()
            .fold(reason.to_owned(), |reason, quoted| reason.replace(quoted, "`…`"))
            .replace(value, "…")
    });
    let mut kind = String::with_capacity(reason.len());
    let mut rest = without.as_deref().unwrap_or(reason);
    while let Some(first) = rest.chars().next() {
        if matches!(first, '`' | '"')
            && let Some(end) = rest[1..].find(first)
        {
            kind.extend([first, '…', first]);
            rest = &rest[end + 2..];
        } else if first.is_ascii_digit() {
            kind.push('…');
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        } else {
            kind.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn a_kind_of_reason_holds_nothing_of_the_row() {
        assert_eq!(kind_of("`17` is not in `plans`", None), "`…` is not in `…`");
        assert_eq!(kind_of("has 12 entries, and may have 10", None), "has … entries, and may have …");
        assert_eq!(kind_of("ada@example.com has no zone", Some("ada@example.com")), "… has no zone");
        assert_eq!(kind_of("`a`da` is no plan", Some("a`da")), "`…` is no plan");
        assert_eq!(kind_of("is empty", Some("is")), "is empty", "a short value may be a word of ours");
    }
}
