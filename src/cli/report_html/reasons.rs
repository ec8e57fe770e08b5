//! Rejects by reason: how many, why, and, where it was asked for, examples with their values.

use std::path::Path;

use super::page::{Cell, Section, Table, number, words};
use crate::cli::report::{counted, grouped, quoted};
use crate::ledger::rejects::{self, Group, Groups, RejectsError};
use crate::record::Reject;

/// Most reasons that are shown.
const REASONS_MAX: usize = 30;
/// Most examples of a reason.
const SAMPLES_MAX: usize = 3;

/// Records that went no further for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reason {
    step: String,
    is_refused: bool,
    /// What it is about, and what is wrong; without anything of a row.
    words: String,
    count: u64,
    /// With values.
    samples: Vec<String>,
}

/// Reasons, the most frequent first.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    all: Vec<Reason>,
    /// Of kinds that are not told apart.
    others: u64,
    /// Files of which only a part could be read.
    unread: Vec<String>,
    /// Whether the reasons are those of the first rejects only.
    is_part: bool,
}

impl Reasons {
    /// Those in the rejects files of a run.
    pub(super) fn of_files<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut reasons = Self::default();
        for path in paths {
            match rejects::list(path) {
                Ok(listing) => {
                    listing.groups.iter().for_each(|group| reasons.add(&listing.header.step, group));
                    reasons.others += listing.others;
                    if listing.torn || listing.lines_damaged > 0 {
                        reasons.unread.push(path.display().to_string());
                    }
                }
                Err(RejectsError::Empty { .. }) => {}
                Err(_) => reasons.unread.push(path.display().to_string()),
            }
        }
        reasons.sorted()
    }

    /// Those of the steps of a plan.
    pub(super) fn of_groups<'a>(groups: impl IntoIterator<Item = (&'a str, &'a Group)>) -> Self {
        let mut reasons = Self::default();
        groups.into_iter().for_each(|(step, group)| reasons.add(step, group));
        reasons.sorted()
    }

    /// Those of the first rejects of a step.
    pub(super) fn of_first<'a>(step: &str, rejects: impl IntoIterator<Item = &'a Reject>) -> Self {
        let mut groups = Groups::default();
        rejects.into_iter().for_each(|reject| groups.add_reject(reject));
        let (groups, _) = groups.into_sorted();
        Self { is_part: true, ..Self::of_groups(groups.iter().map(|group| (step, group))) }
    }

    fn add(&mut self, step: &str, group: &Group) {
        let samples = group.samples.iter().map(|sample| {
            let value = sample.value.as_deref().map(|value| format!(" {}", quoted(value))).unwrap_or_default();
            format!("{}{value}: {}", sample.place, sample.reason)
        });
        let words = in_words(group.field.as_deref(), &group.reason);
        // Groups of fields inside the same one are one reason where their names may not be shown.
        let same = |known: &&mut Reason| (&*known.step, known.is_refused, &known.words) == (step, group.failed, &words);
        match self.all.iter_mut().find(same) {
            Some(known) => {
                known.count += group.count;
                known.samples.extend(samples);
                known.samples.truncate(SAMPLES_MAX);
            }
            None => self.all.push(Reason {
                step: step.to_owned(),
                is_refused: group.failed,
                count: group.count,
                samples: samples.collect(),
                words,
            }),
        }
    }

    fn sorted(mut self) -> Self {
        self.all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.step, &a.words).cmp(&(&b.step, &b.words))));
        self
    }

    /// The section; none where nothing was rejected.
    pub(super) fn section(&self, total: u64, with_samples: bool) -> Option<Section> {
        if total == 0 {
            return None;
        }
        let mut columns = vec![number("Records"), words("Step"), words("What is wrong"), words("Found by")];
        if with_samples {
            columns.push(words("Examples"));
        }
        let row = |reason: &Reason| {
            let who = if reason.is_refused { "the API" } else { "own check" };
            let mut row: Vec<Cell> = vec![
                grouped(reason.count).into(),
                Cell::text(&reason.step),
                Cell::text(&reason.words),
                Cell::text(who),
            ];
            if with_samples {
                row.push(Cell::lines(reason.samples.iter().take(SAMPLES_MAX).cloned()));
            }
            row
        };
        let shown = &self.all[..self.all.len().min(REASONS_MAX)];
        let rest = self.others + self.all[shown.len()..].iter().map(|reason| reason.count).sum::<u64>();
        let mut after = Vec::new();
        if rest > 0 {
            after.push(format!("And {} for other reasons.", counted(rest, "record")));
        }
        if !self.unread.is_empty() {
            after.push(format!("Not all of {} can be read.", self.unread.join(", ")));
        }
        after.push(match with_samples {
            true => "The examples hold personal data: pass this page on with care.".to_owned(),
            false => "Values are left out; with --report-samples some are shown.".to_owned(),
        });
        let seen: u64 = shown.iter().map(|reason| reason.count).sum();
        let intro = match self.is_part && seen < total {
            true => format!("The first {} of {} that do not fit.", grouped(seen), grouped(total)),
            false => {
                "Rows that do not fit stop nothing: they are set aside, and everything else goes through.".to_owned()
            }
        };
        Some(Section {
            title: "What was rejected, and why",
            intro,
            table: (!shown.is_empty()).then(|| Table { columns, rows: shown.iter().map(row).collect() }),
            after: after.join(" "),
            ..Section::default()
        })
    }
}

/// `field: what is wrong`, without anything that a row may have put there: of a field inside another only the outer one,
/// and of a reason what stands before a colon, behind which a library may quote, or before a semicolon, behind which there is
/// advice.
fn in_words(field: Option<&str>, kind: &str) -> String {
    let reason = kind.split_once([':', ';']).map_or(kind, |(ours, _)| ours).replace("`…`", "…").replace("\"…\"", "…");
    match field.and_then(|field| field.split(['.', '[']).next()) {
        Some(field) => format!("{field}: {reason}"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::Place;

    fn reject(field: &str, value: &str, reason: &str) -> Reject {
        Reject {
            place: Place { source: Arc::from("a.csv"), record: 3, line: 4 },
            field: Some(field.to_owned()),
            value: Some(value.to_owned()),
            reason: reason.to_owned(),
            columns: Arc::from([]),
            rows: Vec::new(),
        }
    }

    #[test]
    fn without_samples_nothing_of_a_row_is_left() {
        // Given: values in the reason, behind a colon, and in the name of a field.
        let rejects = [
            reject("email", "ada@example.com", "ada@example.com is no address"),
            reject("email", "bob@example.com", "bob@example.com is no address"),
            reject("metadata.carl@example.com", "x", "is empty"),
            reject("name", "", "an expression failed: can't use dora@example.com here"),
            reject("plan", "x-17-y", "no entry for `x-17-y` in table"),
        ];
        let reasons = Reasons::of_first("customers", &rejects);
        // When
        let hidden = format!("{:?}", reasons.section(5, false));
        let shown = format!("{:?}", reasons.section(5, true));
        // Then
        for name in ["ada@", "bob@", "carl@", "dora@", "x-17-y"] {
            assert!(!hidden.contains(name), "{name}: {hidden}");
        }
        assert!(hidden.contains("email: … is no address") && hidden.contains("metadata: is empty"), "{hidden}");
        assert!(shown.contains("ada@example.com") && shown.contains("a.csv:4, record 3"), "{shown}");
        assert_eq!(reasons.all[0].count, 2, "the same kind is one reason");
    }

    #[test]
    fn a_part_says_that_it_is_one() {
        let one = [reject("email", "x", "is wrong")];
        let reasons = Reasons::of_first("customers", &one);
        assert_eq!(reasons.section(70, false).unwrap().intro, "The first 1 of 70 that do not fit.");
        assert!(reasons.section(0, false).is_none());
    }
}
