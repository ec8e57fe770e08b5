//! Whether what records refer to is there: in an earlier step, in the ledger, in Stigg, in its catalog.
//!
//! A reference is looked for where it costs least: among the records of the steps and of the ledger, by hash; what is not
//! there, in Stigg, a hundred at a time. No more than [`ASKED_MAX`] customers are asked for, so that a plan of a million
//! records that refer to nothing ends.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Deserialize;

use super::finding::{Finding, FindingKind, Findings};
use crate::batch::{Batch, Item};
use crate::entity::{Entity, KEY_SEPARATOR};
use crate::ledger::Index;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::prepare::Watch;
use crate::pipeline::reading::Reading;
use crate::record::{KeyHash, Place, RecordBatch};
use crate::sink::{READ_IDS_MAX, SinkError};

/// Most customers that Stigg is asked for, for each kind of question: two hundred requests, some seconds to a minute at the
/// published rates.
pub(super) const ASKED_MAX: usize = 20_000;

/// Most records that wait for an answer, whatever the number of their customers.
const WAITING_MAX: usize = 10_000;

/// Customers and resources that have a subscription which is active now, in the source.
type Holders = Arc<Mutex<HashSet<KeyHash>>>;

/// Checks the records of a plan, step by step.
pub(super) struct References {
    catalog: Catalog,
    reading: Reading,
    now: Timestamp,
    /// Customers of earlier steps and of the ledger.
    customers: Vec<Index>,
    holders: Holders,
    /// How many records wait for an answer.
    waiting: usize,
    /// Records whose customer is not known here, by customer.
    wanted: Waiting,
    /// Usage whose customer has no subscription here, by customer.
    subscriptionless: Waiting,
    /// What Stigg said of a customer.
    in_stigg: HashMap<KeyHash, bool>,
    /// What Stigg has of a customer's active subscriptions: hashes of the customer and resource.
    held_in_stigg: HashSet<KeyHash>,
    asked_for_subscriptions: HashSet<KeyHash>,
    /// Records whose references were not looked up, since there were too many.
    unasked: u64,
    findings: Findings,
}

/// Records that wait for an answer.
type Waiting = BTreeMap<String, Vec<Waits>>;

/// A record that waits for an answer.
struct Waits {
    place: Place,
    /// For usage: the resource, and that a subscription is needed, too.
    usage_of: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    customer_id: String,
    plan_id: String,
    resource_id: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    #[serde(default)]
    addons: Vec<Addon>,
    #[serde(default)]
    entitlements: Vec<Entitlement>,
    #[serde(default)]
    billable_features: Vec<Feature>,
    #[serde(default)]
    charges: Vec<Charge>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addon {
    addon_id: String,
}

#[derive(Deserialize)]
struct Entitlement {
    feature: Option<Feature>,
    credit: Option<Credit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feature {
    feature_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credit {
    custom_currency_id: String,
}

#[derive(Deserialize)]
struct Charge {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Subscription {
    fn is_active(&self, now: Timestamp) -> bool {
        let at = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        at(&self.start_date).is_none_or(|start| start <= now) && at(&self.end_date).is_none_or(|end| end > now)
    }
}

fn holder(customer_id: &str, resource_id: &str) -> KeyHash {
    KeyHash::of(&format!("{customer_id}{KEY_SEPARATOR}{resource_id}"))
}

impl References {
    pub(super) fn new(catalog: Catalog, reading: Reading, now: Timestamp) -> Self {
        Self {
            catalog,
            reading,
            now,
            customers: Vec::new(),
            holders: Holders::default(),
            waiting: 0,
            wanted: Waiting::new(),
            subscriptionless: Waiting::new(),
            in_stigg: HashMap::new(),
            held_in_stigg: HashSet::new(),
            asked_for_subscriptions: HashSet::new(),
            unasked: 0,
            findings: Findings::default(),
        }
    }

    /// Takes in customers that are there, or will be.
    pub(super) fn knows(&mut self, customers: Index) {
        self.customers.push(customers);
    }

    /// Looks at all subscriptions of a step, those that are unchanged among them: usage may need one.
    pub(super) fn watch(&self, entity: Entity) -> Option<Watch> {
        if entity != Entity::Subscription {
            return None;
        }
        let (holders, now) = (self.holders.clone(), self.now);
        Some(Box::new(move |mapped: &RecordBatch| {
            let mut holders = holders.lock().unwrap_or_else(PoisonError::into_inner);
            for record in &mapped.records {
                if let Ok(one) = serde_json::from_slice::<Subscription>(mapped.json_of(record))
                    && one.is_active(now)
                {
                    holders.insert(holder(&one.customer_id, one.resource_id.as_deref().unwrap_or_default()));
                }
            }
        }))
    }

    /// Checks records that would be sent.
    pub(super) async fn check(&mut self, batch: &Batch) -> Result<(), SinkError> {
        for item in &batch.items {
            match batch.entity {
                // What the API does with an event of an unknown customer is not documented.
                Entity::Customer | Entity::Event => {}
                Entity::Subscription => self.subscription(batch, item),
                Entity::Usage => self.usage(batch, item),
            }
        }
        let many = self.waiting >= WAITING_MAX;
        if many || self.wanted.len() >= READ_IDS_MAX {
            self.ask_for_customers().await?;
        }
        if many || self.subscriptionless.len() >= READ_IDS_MAX {
            self.ask_for_subscriptions().await?;
        }
        if many {
            self.waiting = 0;
        }
        Ok(())
    }

    /// Ends a step: what was found in it, and how many records were not looked up.
    pub(super) async fn finish(&mut self) -> Result<(Vec<Finding>, u64), SinkError> {
        self.ask_for_customers().await?;
        self.ask_for_subscriptions().await?;
        Ok((std::mem::take(&mut self.findings).into_vec(), std::mem::take(&mut self.unasked)))
    }

    fn subscription(&mut self, batch: &Batch, item: &Item) {
        // We wrote it.
        let Ok(one) = serde_json::from_slice::<Subscription>(batch.json_of(item)) else { return };
        let place = batch.origin_of(item).place();
        self.plan(&one, &place);
        for addon in &one.addons {
            match self.catalog.addons.as_ref().filter(|all| !all.is_empty()).map(|all| all.get(&addon.addon_id)) {
                None => {}
                Some(None) => self.findings.add(FindingKind::UnknownAddon, &addon.addon_id, &place),
                Some(Some(known)) if known.status != "PUBLISHED" => {
                    self.findings.add(FindingKind::UnpublishedAddon, &addon.addon_id, &place);
                }
                Some(Some(_)) => {}
            }
        }
        let granted = one.entitlements.iter().filter_map(|entry| Some(&entry.feature.as_ref()?.feature_id));
        let billed = one.billable_features.iter().map(|feature| &feature.feature_id);
        let charged = one.charges.iter().filter(|charge| charge.kind == "FEATURE").map(|charge| &charge.id);
        for id in granted.chain(billed).chain(charged) {
            if let Some(features) = self.catalog.features.as_ref().filter(|all| !all.is_empty())
                && !features.contains_key(id)
            {
                self.findings.add(FindingKind::UnknownFeature, id, &place);
            }
        }
        let credits = one.entitlements.iter().filter_map(|entry| Some(&entry.credit.as_ref()?.custom_currency_id));
        let charged = one.charges.iter().filter(|charge| charge.kind == "CREDIT").map(|charge| &charge.id);
        for id in credits.chain(charged) {
            match self.catalog.currencies.as_ref().map(|all| all.get(id)) {
                None => {}
                // A catalog without currencies is a catalog; one without plans is none.
                Some(None) if self.catalog.plans.as_ref().is_none_or(BTreeMap::is_empty) => {}
                Some(None) => self.findings.add(FindingKind::UnknownCurrency, id, &place),
                Some(Some(known)) if known.archived => self.findings.add(FindingKind::ArchivedCurrency, id, &place),
                Some(Some(_)) => {}
            }
        }
        if !self.knows_customer(&one.customer_id) {
            self.waiting += 1;
            self.wanted.entry(one.customer_id).or_default().push(Waits { place, usage_of: None });
        }
    }

    fn plan(&mut self, one: &Subscription, place: &Place) {
        let Some(plans) = self.catalog.plans.as_ref().filter(|plans| !plans.is_empty()) else { return };
        let kind = match plans.get(&one.plan_id) {
            None => Some(FindingKind::UnknownPlan),
            Some(plan) if plan.status == "DRAFT" => Some(FindingKind::UnpublishedPlan),
            Some(plan) if plan.status == "ARCHIVED" => Some(FindingKind::ArchivedPlan),
            Some(plan) => match plan.pricing_type.as_deref() {
                Some("PAID") => Some(FindingKind::PaidPlan),
                _ if plan.multiple_subscriptions && one.resource_id.is_none() => Some(FindingKind::NoResource),
                Some("FREE") if !one.entitlements.is_empty() => Some(FindingKind::EntitlementsNotCustom),
                Some(_) | None => None,
            },
        };
        if let Some(kind) = kind {
            self.findings.add(kind, &one.plan_id, place);
        }
    }

    fn usage(&mut self, batch: &Batch, item: &Item) {
        let key = batch.key_of(item);
        let mut parts = key.split(KEY_SEPARATOR);
        let (customer, feature) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let resource = parts.next().unwrap_or_default();
        let place = batch.origin_of(item).place();
        match self.catalog.features.as_ref().filter(|all| !all.is_empty()).map(|all| all.get(feature)) {
            None => {}
            Some(None) => self.findings.add(FindingKind::UnknownFeature, feature, &place),
            Some(Some(known)) if known.has_meter => self.findings.add(FindingKind::FedByEvents, feature, &place),
            Some(Some(known))
                if known.feature_type != "NUMBER"
                    || known.meter_type.as_deref().is_none_or(|meter| meter == "None") =>
            {
                self.findings.add(FindingKind::NotMetered, feature, &place);
            }
            Some(Some(_)) => {}
        }
        self.waiting += 1;
        let waits = Waits { place, usage_of: Some(resource.to_owned()) };
        if !self.knows_customer(customer) {
            self.wanted.entry(customer.to_owned()).or_default().push(waits);
        } else if !self.holders.lock().unwrap_or_else(PoisonError::into_inner).contains(&holder(customer, resource)) {
            self.subscriptionless.entry(customer.to_owned()).or_default().push(waits);
        }
    }

    fn knows_customer(&self, id: &str) -> bool {
        let hash = KeyHash::of(id);
        self.customers.iter().any(|customers| customers.holds(hash))
    }

    async fn ask_for_customers(&mut self) -> Result<(), SinkError> {
        let waiting = std::mem::take(&mut self.wanted);
        let new: Vec<&str> =
            waiting.keys().map(String::as_str).filter(|id| !self.in_stigg.contains_key(&KeyHash::of(id))).collect();
        let room = ASKED_MAX.saturating_sub(self.in_stigg.len());
        let new = &new[..new.len().min(room)];
        if !new.is_empty() {
            let found = self.reading.customers(new).await?;
            let found: HashSet<&str> = found.iter().map(|customer| customer.customer_id.as_str()).collect();
            self.in_stigg.extend(new.iter().map(|id| (KeyHash::of(id), found.contains(id))));
        }
        for (id, records) in waiting {
            match self.in_stigg.get(&KeyHash::of(&id)) {
                None => self.unasked += records.len() as u64,
                Some(false) => {
                    records.iter().for_each(|waits| self.findings.add(FindingKind::NoCustomer, &id, &waits.place));
                }
                Some(true) => {
                    let usage: Vec<Waits> = records.into_iter().filter(|waits| waits.usage_of.is_some()).collect();
                    if !usage.is_empty() {
                        self.subscriptionless.entry(id).or_default().extend(usage);
                    }
                }
            }
        }
        Ok(())
    }

    async fn ask_for_subscriptions(&mut self) -> Result<(), SinkError> {
        let waiting = std::mem::take(&mut self.subscriptionless);
        let new: Vec<&str> = waiting
            .keys()
            .map(String::as_str)
            .filter(|id| !self.asked_for_subscriptions.contains(&KeyHash::of(id)))
            .collect();
        let room = ASKED_MAX.saturating_sub(self.asked_for_subscriptions.len());
        let new = &new[..new.len().min(room)];
        if !new.is_empty() {
            let found = self.reading.subscriptions_of(new).await?;
            let active = found.iter().filter(|one| one.status == "ACTIVE" || one.status == "IN_TRIAL");
            let held = active.map(|one| holder(&one.customer_id, one.resource_id.as_deref().unwrap_or_default()));
            self.held_in_stigg.extend(held);
            self.asked_for_subscriptions.extend(new.iter().map(|id| KeyHash::of(id)));
        }
        for (id, records) in waiting {
            if !self.asked_for_subscriptions.contains(&KeyHash::of(&id)) {
                self.unasked += records.len() as u64;
                continue;
            }
            for waits in records {
                let resource = waits.usage_of.as_deref().unwrap_or_default();
                if !self.held_in_stigg.contains(&holder(&id, resource)) {
                    self.findings.add(FindingKind::NoSubscription, &id, &waits.place);
                }
            }
        }
        Ok(())
    }
}
