//! Which fields of the changed records differ from what was delivered, from the ledger alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::super::diff::{ChangedRecord, OnChanged};
use crate::entity::{Entity, KEY_SEPARATOR, Schema};
use crate::ledger::{FieldName, Ledger, LedgerError, Scope, Sketch};
use crate::record::{KeyHash, Place};

/// Most changed records of a step that are looked at, some 40 MB.
const RECORDS_MAX: usize = 100_000;
/// Most fields of all of them.
const FIELDS_MAX: usize = 2_000_000;
/// Most names of fields that are known; metadata may have as many as it likes.
const NAMES_MAX: usize = 10_000;
/// Most records that are shown with their fields.
const SAMPLES_MAX: usize = 20;
/// Most fields that are counted apart.
const FIELDS_SHOWN_MAX: usize = 200;
/// A field that is gone, and that no record has now that would tell its name.
const NAMELESS: &str = "another field";

/// Which fields of a step's changed records differ from what was delivered last. Values are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChangedFields {
    /// Records of which it is known.
    pub known: u64,
    /// Records of which the ledger does not know: an older version delivered them, what the API has of them is in doubt, or
    /// a change has the same hash.
    pub unknown: u64,
    /// Records that were not looked at, since there are more than 100,000.
    pub unasked: u64,
    /// How many records differ in each field.
    pub fields: BTreeMap<String, u64>,
    /// The first records of which it is known.
    pub samples: Vec<ChangedSample>,
}

/// A record that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedSample {
    /// Its key.
    pub key: String,
    /// Where it was read.
    pub place: String,
    /// The fields that differ, in order.
    pub fields: Vec<String>,
}

/// Remembers the changed records of a step while it is read.
#[derive(Debug, Default)]
pub(super) struct Changed {
    records: Vec<Remembered>,
    fields: usize,
    names: HashMap<FieldName, String>,
    /// Those that have no sketch.
    unknown: u64,
    unasked: u64,
}

#[derive(Debug)]
struct Remembered {
    hash: KeyHash,
    key: Box<str>,
    place: Place,
    sketch: Sketch,
}

/// What is filled by the thread that compares, and read when it has ended.
pub(super) type Shared = Arc<Mutex<Changed>>;

impl Changed {
    /// None where records of the entity have no sketches.
    pub(super) fn of(entity: Entity) -> Option<Self> {
        let names =
            Schema::Import(entity).fields().iter().map(|field| (FieldName::of(field.name), field.name.to_owned()));
        Sketch::is_kept_of(entity).then(|| Self {
            records: Vec::new(),
            fields: 0,
            names: names.collect(),
            unknown: 0,
            unasked: 0,
        })
    }

    pub(super) fn watch(shared: &Shared) -> OnChanged {
        let shared = shared.clone();
        Box::new(move |record| shared.lock().unwrap_or_else(PoisonError::into_inner).remember(record))
    }

    fn remember(&mut self, record: ChangedRecord<'_>) {
        if self.records.len() >= RECORDS_MAX || self.fields >= FIELDS_MAX {
            self.unasked += 1;
            return;
        }
        let names = &mut self.names;
        let sketch = Sketch::naming(record.json, |hash, name| {
            if names.len() < NAMES_MAX {
                names.entry(hash).or_insert_with(|| name.to_owned());
            }
        });
        let Some(sketch) = sketch else {
            self.unknown += 1;
            return;
        };
        self.fields += sketch.field_count();
        self.records.push(Remembered {
            hash: record.hash,
            key: record.key.replace(KEY_SEPARATOR, " ").trim_end().into(),
            place: record.place,
            sketch,
        });
    }

    /// Compares with what the ledger knows.
    pub(super) async fn compare(self, ledger: &dyn Ledger, scope: &Scope) -> Result<ChangedFields, LedgerError> {
        let keys = self.records.iter().map(|record| record.hash).collect();
        let delivered = if self.records.is_empty() { HashMap::new() } else { ledger.sketches(scope, &keys).await? };
        Ok(self.compared(&delivered))
    }

    fn compared(self, delivered: &HashMap<KeyHash, Sketch>) -> ChangedFields {
        let mut found = ChangedFields { unknown: self.unknown, unasked: self.unasked, ..ChangedFields::default() };
        for record in self.records {
            let before = delivered.get(&record.hash);
            let differing = before.map(|before| before.differing(&record.sketch)).unwrap_or_default();
            if differing.is_empty() {
                found.unknown += 1;
                continue;
            }
            found.known += 1;
            let name = |field| self.names.get(&field).map_or(NAMELESS, String::as_str);
            let fields: BTreeSet<&str> = differing.into_iter().map(name).collect();
            for field in &fields {
                if found.fields.len() < FIELDS_SHOWN_MAX || found.fields.contains_key(*field) {
                    *found.fields.entry((*field).to_owned()).or_default() += 1;
                }
            }
            if found.samples.len() < SAMPLES_MAX {
                found.samples.push(ChangedSample {
                    key: record.key.into(),
                    place: record.place.to_string(),
                    fields: fields.into_iter().map(str::to_owned).collect(),
                });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(key: &'a str, json: &'a str) -> ChangedRecord<'a> {
        let place = Place { source: "a.csv".into(), record: 1, line: 2 };
        ChangedRecord { json: json.as_bytes(), key, hash: KeyHash::of(key), place }
    }

    #[test]
    fn a_field_that_is_gone_has_a_name_where_the_entity_or_another_record_has_it() {
        let mut changed = Changed::of(Entity::Customer).unwrap();
        changed.remember(record("a", r#"{"customerId":"a"}"#));
        changed.remember(record("b", r#"{"customerId":"b","additionalMetaData":{"plan":"x"}}"#));
        let before = |json: &str| Sketch::of(json.as_bytes()).unwrap();
        let delivered = HashMap::from([
            (
                KeyHash::of("a"),
                before(r#"{"customerId":"a","name":"A","additionalMetaData":{"plan":"x","size":"1","color":"2"}}"#),
            ),
            (KeyHash::of("b"), before(r#"{"customerId":"b","additionalMetaData":{"plan":"y"}}"#)),
        ]);
        let found = changed.compared(&delivered);
        assert_eq!(found.samples[0].fields, ["additionalMetaData.plan", NAMELESS, "name"]);
        assert_eq!(found.samples[1].fields, ["additionalMetaData.plan"]);
        let counts = [("additionalMetaData.plan", 2), (NAMELESS, 1), ("name", 1)];
        assert_eq!(found.fields, counts.map(|(field, count)| (field.to_owned(), count)).into());
        assert_eq!((found.known, found.unknown, found.unasked), (2, 0, 0));
    }

    #[test]
    fn what_is_not_known_or_too_much_is_counted() {
        let mut changed = Changed::of(Entity::Customer).unwrap();
        let same = r#"{"customerId":"same"}"#;
        changed.remember(record("same", same));
        changed.remember(record("old", r#"{"customerId":"old"}"#));
        for _ in 2..RECORDS_MAX + 3 {
            changed.remember(record("many", r#"{"name":"1"}"#));
        }
        let delivered = HashMap::from([(KeyHash::of("same"), Sketch::of(same.as_bytes()).unwrap())]);
        let found = changed.compared(&delivered);
        assert_eq!((found.known, found.unknown, found.unasked), (0, RECORDS_MAX as u64, 3));
        assert!(found.samples.is_empty() && found.fields.is_empty());
        assert!(Changed::of(Entity::Usage).is_none() && Changed::of(Entity::Event).is_none());
    }
}
