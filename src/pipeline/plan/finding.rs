//! What the API would refuse, found before it is asked.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::Place;

/// Why the API would refuse a record. The numbers name sections of the API's contract, see `docs/api.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The catalog has no such plan.
    UnknownPlan,
    /// The plan is a draft.
    UnpublishedPlan,
    /// The plan is archived.
    ArchivedPlan,
    /// The plan is paid: its subscriptions are provisioned, not imported.
    PaidPlan,
    /// The plan's product takes several subscriptions of a customer, and the record has no `resourceId`.
    NoResource,
    /// Only custom plans take entitlements of their own.
    EntitlementsNotCustom,
    /// The catalog has no such add-on.
    UnknownAddon,
    /// The add-on is a draft or archived.
    UnpublishedAddon,
    /// The catalog has no such feature.
    UnknownFeature,
    /// The feature has no meter, so it takes no usage.
    NotMetered,
    /// The feature is fed by events, so it takes no usage.
    FedByEvents,
    /// The catalog has no such credit currency.
    UnknownCurrency,
    /// The credit currency is archived.
    ArchivedCurrency,
    /// No step has the customer, and Stigg has not.
    NoCustomer,
    /// No step has a subscription of the customer that is active now, and Stigg has none.
    NoSubscription,
}

impl FindingKind {
    /// The field that refers to what is not there.
    pub fn field(self) -> &'static str {
        match self {
            Self::UnknownPlan
            | Self::UnpublishedPlan
            | Self::ArchivedPlan
            | Self::PaidPlan
            | Self::NoResource
            | Self::EntitlementsNotCustom => "planId",
            Self::UnknownAddon | Self::UnpublishedAddon => "addonId",
            Self::UnknownFeature | Self::NotMetered | Self::FedByEvents => "featureId",
            Self::UnknownCurrency | Self::ArchivedCurrency => "customCurrencyId",
            Self::NoCustomer | Self::NoSubscription => "customerId",
        }
    }

    /// What it is that is referred to.
    pub fn says(self) -> &'static str {
        match self {
            Self::UnknownPlan => "no such plan at the target",
            Self::UnpublishedPlan => "a plan that is not published",
            Self::ArchivedPlan => "an archived plan",
            Self::PaidPlan => "a paid plan, which no import takes",
            Self::NoResource => "a plan whose subscriptions need a resourceId, and there is none",
            Self::EntitlementsNotCustom => "not a custom plan, and others take no entitlements of a subscription",
            Self::UnknownAddon => "no such add-on at the target",
            Self::UnpublishedAddon => "an add-on that is not published",
            Self::UnknownFeature => "no such feature at the target",
            Self::NotMetered => "a feature without a meter, which takes no usage",
            Self::FedByEvents => "a feature that is fed by events, which takes no usage",
            Self::UnknownCurrency => "no such credit currency at the target",
            Self::ArchivedCurrency => "an archived credit currency",
            Self::NoCustomer => "a customer that neither a step nor Stigg has",
            Self::NoSubscription => "a customer without an active subscription, in the steps as in Stigg",
        }
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::UnknownPlan => "create and publish the plan in Stigg, or mend the mapping's lookup of planId",
            Self::UnpublishedPlan => "publish the plan in Stigg",
            Self::ArchivedPlan => "map it to a plan that is published",
            Self::PaidPlan => "move these with `stigg-import cutover`, and leave them out here with `where`",
            Self::NoResource => "map resourceId to what tells the customer's subscriptions apart",
            Self::EntitlementsNotCustom => "leave the entitlements out, or map to a custom plan",
            Self::UnknownAddon => "create and publish the add-on in Stigg, or mend the mapping of addonId",
            Self::UnpublishedAddon => "publish the add-on in Stigg",
            Self::UnknownFeature => "create the feature in Stigg, or mend the mapping of featureId",
            Self::NotMetered => "give the feature a meter in Stigg, or leave its usage out",
            Self::FedByEvents => "send its events with a mapping of entity event, or leave its usage out",
            Self::UnknownCurrency => "create the credit currency in Stigg, or mend the mapping of customCurrencyId",
            Self::ArchivedCurrency => "map it to a credit currency that is not archived",
            Self::NoCustomer => "import these customers first, or find out why their rows were rejected or left out",
            Self::NoSubscription => "import the customer's subscription first; paid ones with `stigg-import cutover`",
        }
    }

    /// Whether findings are told apart by what is referred to: a catalog is small, customers are many.
    fn by_value(self) -> bool {
        match self {
            Self::NoCustomer | Self::NoSubscription => false,
            Self::UnknownPlan
            | Self::UnpublishedPlan
            | Self::ArchivedPlan
            | Self::PaidPlan
            | Self::NoResource
            | Self::EntitlementsNotCustom
            | Self::UnknownAddon
            | Self::UnpublishedAddon
            | Self::UnknownFeature
            | Self::NotMetered
            | Self::FedByEvents
            | Self::UnknownCurrency
            | Self::ArchivedCurrency => true,
        }
    }
}

/// Records that the API would refuse for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Why.
    pub kind: FindingKind,
    /// The field.
    pub field: &'static str,
    /// What it refers to; none where these are many (customers), or too many kinds of it to list.
    pub value: Option<String>,
    /// How many records.
    pub records: u64,
    /// The first of them.
    pub samples: Vec<FindingSample>,
    /// What to do.
    pub remedy: &'static str,
}

/// A record that the API would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingSample {
    /// What it refers to.
    pub value: String,
    /// Where the source has it.
    pub place: String,
}

/// Collects findings in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<(FindingKind, Option<String>), Finding>);

/// Most findings that are told apart; further values of a kind are counted together.
const FINDINGS_MAX: usize = 200;
/// Most samples of a finding.
const SAMPLES_MAX: usize = 3;

impl Findings {
    pub(super) fn add(&mut self, kind: FindingKind, value: &str, place: &Place) {
        let mut key = (kind, kind.by_value().then(|| value.to_owned()));
        if self.0.len() >= FINDINGS_MAX && !self.0.contains_key(&key) {
            key.1 = None;
        }
        let finding = self.0.entry(key).or_insert_with_key(|(kind, value)| Finding {
            kind: *kind,
            field: kind.field(),
            value: value.clone(),
            records: 0,
            samples: Vec::new(),
            remedy: kind.remedy(),
        });
        finding.records += 1;
        if finding.samples.len() < SAMPLES_MAX {
            finding.samples.push(FindingSample { value: value.to_owned(), place: place.to_string() });
        }
    }

    /// Those with the most records first.
    pub(super) fn into_vec(self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.0.into_values().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.records));
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(record: u64) -> Place {
        Place { source: "a.csv".into(), record, line: record + 1 }
    }

    #[test]
    fn customers_are_counted_together_and_plans_apart() {
        let mut findings = Findings::default();
        for record in 1..=5 {
            findings.add(FindingKind::NoCustomer, &format!("cus_{record}"), &place(record));
        }
        findings.add(FindingKind::UnknownPlan, "plan-a", &place(6));
        findings.add(FindingKind::UnknownPlan, "plan-b", &place(7));
        let all = findings.into_vec();
        let counts: Vec<_> = all.iter().map(|one| (one.value.as_deref(), one.records, one.samples.len())).collect();
        assert_eq!(counts, [(None, 5, 3), (Some("plan-a"), 1, 1), (Some("plan-b"), 1, 1)]);
    }

    #[test]
    fn endless_kinds_of_a_plan_take_no_endless_memory() {
        let mut findings = Findings::default();
        for record in 0..10_000 {
            findings.add(FindingKind::UnknownPlan, &format!("plan-{record}"), &place(record));
        }
        let all = findings.into_vec();
        assert_eq!(all.len(), FINDINGS_MAX + 1);
        assert_eq!(all.iter().map(|one| one.records).sum::<u64>(), 10_000);
        assert_eq!((all[0].value.as_deref(), all[0].records), (None, 10_000 - FINDINGS_MAX as u64));
    }
}
