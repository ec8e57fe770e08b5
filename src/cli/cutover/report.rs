//! What a cutover did or would do, in text.

use std::fmt::Write as _;

use crate::cli::report::{aligned, counted, duration, grouped, what_is_wrong};
use crate::pipeline::{AtStage, CutoverPlan, CutoverSummary, Sample};

/// Most replacements that are named with what keeps them.
const SAMPLES_SHOWN: usize = 10;

/// What it did.
pub(in crate::cli) fn summary(summary: &CutoverSummary) -> String {
    let mut text = String::new();
    if summary.records > 0 {
        let _ = writeln!(text, "{}", counted(summary.records, "record"));
        text.push_str(&lines(&[
            ("confirmed now", summary.confirmed),
            ("confirmed before", summary.done_before),
            ("parked now", summary.parked),
            ("parked before", summary.parked_before),
            ("open", summary.open),
            ("rejected", summary.rejected),
            ("filtered", summary.filtered),
            ("replacements themselves", summary.replacements),
            ("of other customers", summary.not_asked),
            ("left for later", summary.later),
        ]));
    }
    if summary.to_cancel > 0 {
        let _ = writeln!(text, "{} to cancel", counted(summary.to_cancel, "original"));
        text.push_str(&lines(&[
            ("cancelled", summary.cancelled),
            ("listed for people", summary.listed),
            ("parked instead", summary.cancel_parked),
            ("open", summary.cancel_open),
        ]));
    }
    for (words, count) in [
        ("of an earlier run parked now", summary.unproved_parked),
        ("of an earlier run not proved yet", summary.unproved_open),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{} {words}", counted(count, "replacement"));
        }
    }
    if summary.with_schedule > 0 {
        let _ = writeln!(text, "{} had a schedule at the provider", counted(summary.with_schedule, "original"));
    }
    if summary.with_pending_items > 0 {
        let _ = writeln!(
            text,
            "{} had invoice items that wait: look at them at the provider; the audit file names them",
            counted(summary.with_pending_items, "original")
        );
    }
    if summary.changed_since > 0 {
        let _ = writeln!(
            text,
            "{} changed in the source after it was sent; nothing was sent for that",
            counted(summary.changed_since, "record")
        );
    }
    text.push_str(&stages(&summary.stages));
    text.push_str(&samples(&summary.samples));
    text
}

/// What it would do.
pub(super) fn plan(plan: &CutoverPlan) -> String {
    let summary = &plan.summary;
    let mut text = String::new();
    if summary.records > 0 {
        let _ = writeln!(text, "{}", counted(summary.records, "record"));
        text.push_str(&lines(&[
            ("to provision and prove", summary.open),
            ("confirmed before", summary.done_before),
            ("parked before", summary.parked_before),
            ("would be rejected", summary.rejected),
            ("filtered", summary.filtered),
            ("replacements themselves", summary.replacements),
            ("of other customers", summary.not_asked),
            ("left for later", summary.later),
        ]));
        if let Some(seconds) = plan.provision_seconds.filter(|seconds| *seconds >= 1.0) {
            let _ = writeln!(text, "provisioning takes about {} at the rate limit", duration(seconds));
        }
    }
    let _ = writeln!(text, "{} confirmed and not yet cancelled", counted(plan.to_cancel, "original"));
    text.push_str(&stages(&summary.stages));
    for reject in plan.rejects.iter().take(SAMPLES_SHOWN) {
        let _ = writeln!(text, "{}: {}", reject.place, what_is_wrong(reject));
    }
    text.push_str(&samples(&summary.samples));
    text
}

/// Where all of a target are.
pub(super) fn stages(stages: &[AtStage]) -> String {
    if stages.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = stages
        .iter()
        .map(|at| {
            let reason = at.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
            vec![format!("  {}{reason}", at.stage), grouped(at.count)]
        })
        .collect();
    format!("where they are now\n{}", aligned(&rows))
}

fn samples(samples: &[Sample]) -> String {
    let mut text = String::new();
    for sample in samples.iter().take(SAMPLES_SHOWN) {
        let Sample { subscription_id, original_id, stage, reason, detail } = sample;
        let _ = writeln!(
            text,
            "{subscription_id} (for {original_id}) is {stage}{}: {detail}",
            reason.map(|reason| format!(", {reason}")).unwrap_or_default()
        );
    }
    if samples.len() > SAMPLES_SHOWN {
        text.push_str("… see --json for more\n");
    }
    text
}

fn lines(counts: &[(&str, u64)]) -> String {
    let rows: Vec<Vec<String>> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| vec![format!("  {word}"), grouped(*count)])
        .collect();
    aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::ParkReason;
    use crate::pipeline::{Phase, Tally};

    /// A run in which everything happened that can.
    fn everything() -> CutoverSummary {
        let tally = Tally::default();
        let counts = [
            (&tally.records, 1234),
            (&tally.confirmed, 1000),
            (&tally.done_before, 100),
            (&tally.parked, 20),
            (&tally.parked_before, 10),
            (&tally.open, 4),
            (&tally.rejected, 50),
            (&tally.filtered, 25),
            (&tally.replacements, 12),
            (&tally.not_asked, 11),
            (&tally.later, 2),
            (&tally.cancelled, 900),
            (&tally.listed, 50),
            (&tally.cancel_parked, 40),
            (&tally.cancel_open, 10),
            (&tally.unproved_parked, 3),
            (&tally.unproved_open, 1),
            (&tally.with_schedule, 6),
            (&tally.with_pending_items, 5),
            (&tally.changed_since, 1),
        ];
        counts.iter().for_each(|(count, number)| count.add(*number));
        let mut summary = CutoverSummary::new(7, Phase::All, &tally, 1000, 60.0);
        summary.stages = vec![
            AtStage { stage: "cancelled", reason: None, count: 900 },
            AtStage { stage: "parked", reason: Some(ParkReason::PaymentRequired.name()), count: 60 },
        ];
        let sample = |number: usize| Sample {
            subscription_id: format!("sub_{number}"),
            original_id: format!("old_{number}"),
            stage: "parked",
            reason: Some(ParkReason::PaymentRequired.name()),
            detail: "Stigg asks for a payment".to_owned(),
        };
        summary.samples = (1..=11).map(sample).collect();
        summary
    }

    #[test]
    fn all_that_can_become_of_a_record_has_its_line() {
        insta::assert_snapshot!(summary(&everything()), @"
        1,234 records
          confirmed now            1,000
          confirmed before           100
          parked now                  20
          parked before               10
          open                         4
          rejected                    50
          filtered                    25
          replacements themselves     12
          of other customers          11
          left for later               2
        1,000 originals to cancel
          cancelled          900
          listed for people   50
          parked instead      40
          open                10
        3 replacements of an earlier run parked now
        1 replacement of an earlier run not proved yet
        6 originals had a schedule at the provider
        5 originals had invoice items that wait: look at them at the provider; the audit file names them
        1 record changed in the source after it was sent; nothing was sent for that
        where they are now
          cancelled                 900
          parked, payment-required   60
        sub_1 (for old_1) is parked, payment-required: Stigg asks for a payment
        sub_2 (for old_2) is parked, payment-required: Stigg asks for a payment
        sub_3 (for old_3) is parked, payment-required: Stigg asks for a payment
        sub_4 (for old_4) is parked, payment-required: Stigg asks for a payment
        sub_5 (for old_5) is parked, payment-required: Stigg asks for a payment
        sub_6 (for old_6) is parked, payment-required: Stigg asks for a payment
        sub_7 (for old_7) is parked, payment-required: Stigg asks for a payment
        sub_8 (for old_8) is parked, payment-required: Stigg asks for a payment
        sub_9 (for old_9) is parked, payment-required: Stigg asks for a payment
        sub_10 (for old_10) is parked, payment-required: Stigg asks for a payment
        … see --json for more
        ");
    }
}
