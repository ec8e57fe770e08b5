//! What each field of a record was when it was sent, as short hashes, so that a plan can name the fields that have changed
//! since without asking the API.
//!
//! A fingerprint says that a record is another, not where. A sketch has 16 bits of each value: enough to see that it
//! changed (one change of 65,536 is missed), and far too little to read it. Names are hashed, too: a field is named by
//! whoever knows what names there may be.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use crate::batch::Batch;
use crate::entity::Entity;
use crate::record::KeyHash;

/// Most fields of a record that has a sketch.
const FIELDS_MAX: usize = 1000;

/// A field's name, hashed. A field inside another has the names of both: `additionalMetaData.region`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(u32);

impl FieldName {
    /// The hash of a name.
    pub fn of(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()) as u32)
    }
}

/// The fields of one record, names and values hashed. An object's fields count each for itself, those deeper inside as a
/// part of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// In order, each once.
    fields: Box<[(FieldName, u16)]>,
}

impl Sketch {
    /// Whether records of an entity have sketches: those whose fields may change one by one, and that come slowly enough.
    /// Usage has but its value to change, and events never change.
    pub fn is_kept_of(entity: Entity) -> bool {
        match entity {
            Entity::Customer | Entity::Subscription => true,
            Entity::Usage | Entity::Event => false,
        }
    }

    /// The sketch of a record's JSON; none of what has no fields, or more than a thousand.
    pub fn of(json: &[u8]) -> Option<Self> {
        Self::naming(json, |_, _| {})
    }

    /// The same, and calls `named` with each field's name, hashed and in clear.
    pub fn naming(json: &[u8], mut named: impl FnMut(FieldName, &str)) -> Option<Self> {
        let mut fields = BTreeSet::new();
        let mut take = |name: &str, value: &RawValue| {
            let hash = FieldName::of(name);
            named(hash, name);
            fields.insert((hash, xxh3_64(value.get().as_bytes()) as u16));
        };
        for (name, value) in members(json)? {
            let inner = if value.get().starts_with('{') { members(value.get().as_bytes())? } else { Vec::new() };
            if inner.is_empty() {
                take(&name, value);
            }
            for (within, value) in inner {
                take(&format!("{name}.{within}"), value);
            }
        }
        (1..=FIELDS_MAX).contains(&fields.len()).then(|| Self::with(fields))
    }

    fn with(fields: BTreeSet<(FieldName, u16)>) -> Self {
        Self { fields: fields.into_iter().collect() }
    }

    /// The fields that only one of both has, or that have another value.
    pub fn differing(&self, other: &Self) -> BTreeSet<FieldName> {
        let ours: BTreeSet<_> = self.fields.iter().collect();
        ours.symmetric_difference(&other.fields.iter().collect()).map(|(name, _)| *name).collect()
    }

    /// How many fields it has, one at least.
    pub fn field_count(&self) -> usize {
        self.fields.len()
    }
}

/// The members of a JSON object; none of what is no object.
fn members(json: &[u8]) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    serde_json::Deserializer::from_slice(json).deserialize_map(Members).ok()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(members)
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The sketches of a batch's records, packed; none where none of them has one.
///
/// First the names that occur, 2 bytes for their number and 4 bytes each. Then, for each record, 4 bytes of its key's hash, 2
/// bytes for its number of fields, and for each of them 2 bytes for its name's position and 2 bytes of the value's hash.
/// Little-endian.
pub(super) fn pack_sketches(batch: &Batch) -> Option<Vec<u8>> {
    if !Sketch::is_kept_of(batch.entity) {
        return None;
    }
    let (mut names, mut records) = (BTreeMap::new(), Vec::new());
    for (key, sketch) in told_apart(batch) {
        for (name, _) in &sketch.fields {
            let next = names.len();
            names.entry(*name).or_insert(next);
        }
        // Metadata may have any names; a record whose names have no room is left out.
        let place = |name| names.get(name).and_then(|place| u16::try_from(*place).ok());
        let fields: Option<Vec<(u16, u16)>> =
            sketch.fields.iter().map(|(name, value)| Some((place(name)?, *value))).collect();
        let Some(fields) = fields else { continue };
        records.extend_from_slice(&key.to_le_bytes());
        records.extend_from_slice(&u16::try_from(fields.len()).expect("fields have a limit").to_le_bytes());
        for (name, value) in fields {
            records.extend_from_slice(&name.to_le_bytes());
            records.extend_from_slice(&value.to_le_bytes());
        }
    }
    if records.is_empty() {
        return None;
    }
    let mut in_order: Vec<(usize, FieldName)> = names.into_iter().map(|(name, place)| (place, name)).collect();
    in_order.sort_unstable();
    in_order.truncate(usize::from(u16::MAX));
    let mut packed = Vec::with_capacity(2 + 4 * in_order.len() + records.len());
    packed.extend_from_slice(&u16::try_from(in_order.len()).expect("was cut").to_le_bytes());
    in_order.iter().for_each(|(_, name)| packed.extend_from_slice(&name.0.to_le_bytes()));
    packed.extend_from_slice(&records);
    Some(packed)
}

/// The sketches of a batch by the part of their key that is kept. Two records that share it have none: nothing would say
/// which is whose.
fn told_apart(batch: &Batch) -> Vec<(u32, Sketch)> {
    let mut times: HashMap<u32, u32> = HashMap::with_capacity(batch.items.len());
    batch.items.iter().for_each(|item| *times.entry(short(item.hash)).or_default() += 1);
    let alone = batch.items.iter().filter(|item| times[&short(item.hash)] == 1);
    alone.filter_map(|item| Some((short(item.hash), Sketch::of(batch.json_of(item))?))).collect()
}

/// The part of a key's hash that names a record within its batch.
fn short(key: KeyHash) -> u32 {
    key.0[0]
}

/// The sketches of some records of a batch, which must be of that batch. None of any where the bytes are damaged.
pub(super) fn unpack_sketches(packed: &[u8], keys: &[KeyHash]) -> Vec<(KeyHash, Sketch)> {
    let wanted: HashMap<u32, KeyHash> = keys.iter().map(|key| (short(*key), *key)).collect();
    read_sketches(packed, &wanted).unwrap_or_default()
}

fn read_sketches(mut packed: &[u8], wanted: &HashMap<u32, KeyHash>) -> Option<Vec<(KeyHash, Sketch)>> {
    let packed = &mut packed;
    let mut names = Vec::new();
    for _ in 0..u16::from_le_bytes(take(packed)?) {
        names.push(FieldName(u32::from_le_bytes(take(packed)?)));
    }
    let mut found = Vec::new();
    while !packed.is_empty() {
        let key = u32::from_le_bytes(take(packed)?);
        let mut fields = BTreeSet::new();
        for _ in 0..u16::from_le_bytes(take(packed)?) {
            let (name, value) = (u16::from_le_bytes(take(packed)?), u16::from_le_bytes(take(packed)?));
            fields.insert((*names.get(usize::from(name))?, value));
        }
        if let (Some(key), false) = (wanted.get(&key), fields.is_empty()) {
            found.push((*key, Sketch::with(fields)));
        }
    }
    Some(found)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{BatchLimits, Builder};
    use crate::entity::{Kind, Schema};
    use crate::record::{Fingerprint, Origin, Place};

    fn batch_of(entity: Entity, records: &[(&str, String)]) -> Batch {
        let limits = BatchLimits { records_max: records.len() + 1, body_bytes_max: usize::MAX };
        let mut builder = Builder::new(entity, limits);
        for (key, json) in records {
            let first = Place { source: "a".into(), record: 1, line: 1 };
            let origin = Origin::total(first, 1, vec![1]);
            let (hash, print) = (KeyHash::of(key), Fingerprint::of(json.as_bytes()));
            builder.push(json.as_bytes(), key, hash, print, origin).unwrap();
        }
        builder.finish().unwrap()
    }

    fn names(fields: &[&str]) -> BTreeSet<FieldName> {
        fields.iter().map(|field| FieldName::of(field)).collect()
    }

    #[test]
    fn what_changed_came_and_went_differs_and_nothing_else() {
        let sketch = |json: &str| Sketch::of(json.as_bytes()).unwrap();
        let before = sketch(
            r#"{"customerId":"a","name":"Ada","email":"a@b.c","additionalMetaData":{"x":"1","y":"2"},"addons":[{"addonId":"p"}]}"#,
        );
        let same = |json: &str| before.differing(&sketch(json));
        assert_eq!(
            same(
                r#"{"customerId":"a","name":"Ada L.","additionalMetaData":{"y":"2","z\n":"3"},"addons":[{"addonId":"q"}]}"#
            ),
            names(&["name", "email", "additionalMetaData.x", "additionalMetaData.z\n", "addons"])
        );
        assert_eq!(
            same(
                r#"{"email":"a@b.c","customerId":"a","name":"Ada","additionalMetaData":{"y":"2","x":"1"},"addons":[{"addonId":"p"}]}"#
            ),
            names(&[]),
            "their order says nothing"
        );
        assert_eq!(sketch(r#"{"additionalMetaData":{}}"#).differing(&sketch(r#"{"name":"1"}"#)).len(), 2);
    }

    #[test]
    fn only_what_has_fields_has_a_sketch() {
        for json in ["{}", "[]", "1", "", "{\"a\":", "null"] {
            assert_eq!(Sketch::of(json.as_bytes()), None, "{json}");
        }
        let wide = |fields: usize| {
            let members: Vec<String> = (0..fields).map(|number| format!("\"f{number}\":{number}")).collect();
            Sketch::of(format!("{{{}}}", members.join(",")).as_bytes())
        };
        assert_eq!(wide(FIELDS_MAX).map(|sketch| sketch.field_count()), Some(FIELDS_MAX));
        assert_eq!(wide(FIELDS_MAX + 1), None);
    }

    #[test]
    fn no_two_known_fields_have_the_same_hash() {
        for entity in Entity::ALL {
            let fields = Schema::Import(entity).fields();
            let hashes: BTreeSet<FieldName> = fields.iter().map(|field| FieldName::of(field.name)).collect();
            assert_eq!(hashes.len(), fields.len(), "{}", entity.name());
        }
    }

    #[test]
    fn usage_and_events_have_none_and_records_that_share_a_key_have_none() {
        for entity in [Entity::Usage, Entity::Event] {
            assert_eq!(pack_sketches(&batch_of(entity, &[("a", r#"{"value":1}"#.to_owned())])), None);
        }
        let json = |name: &str| format!(r#"{{"name":"{name}"}}"#);
        let mut batch = batch_of(Entity::Customer, &[("a", json("1")), ("b", json("2")), ("c", json("3"))]);
        batch.items[1].hash.0[0] = batch.items[0].hash.0[0];
        let keys: Vec<KeyHash> = batch.items.iter().map(|item| item.hash).collect();
        let found = unpack_sketches(&pack_sketches(&batch).unwrap(), &keys);
        assert_eq!(found, [(keys[2], Sketch::of(json("3").as_bytes()).unwrap())]);
    }

    /// The figure in docs/ledgers.md.
    #[test]
    fn a_customer_of_five_fields_takes_26_bytes() {
        let json = |key: &str| {
            format!(
                r#"{{"customerId":"{key}","name":"n{key}","email":"{key}@b.c","additionalMetaData":{{"a":"1","b":"2"}}}}"#
            )
        };
        let keys: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let records: Vec<_> = keys.iter().map(|key| (key.as_str(), json(key))).collect();
        assert_eq!(pack_sketches(&batch_of(Entity::Customer, &records)).unwrap().len(), 2 + 5 * 4 + 1000 * 26);
    }

    /// A record with some of the fields that an entity has, each with one of a few values, and some metadata.
    fn record(entity: Entity) -> impl Strategy<Value = BTreeMap<String, u8>> {
        let plain = Schema::Import(entity).fields().iter().filter(|field| !matches!(field.kind, Kind::TextMap));
        let mut known: Vec<String> = plain.map(|field| field.name.to_owned()).collect();
        known.extend((0..6).map(|number| format!("additionalMetaData.key-{number}")));
        prop::collection::btree_map(prop::sample::select(known), 0u8..4, 1..12)
    }

    fn json_of(record: &BTreeMap<String, u8>) -> String {
        let (mut object, mut metadata) = (serde_json::Map::new(), serde_json::Map::new());
        for (name, value) in record {
            match name.strip_prefix("additionalMetaData.") {
                Some(within) => metadata.insert(within.to_owned(), value.to_string().into()),
                None => object.insert(name.clone(), serde_json::json!([{ "value": value }])),
            };
        }
        if !metadata.is_empty() {
            object.insert("additionalMetaData".to_owned(), metadata.into());
        }
        serde_json::Value::from(object).to_string()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The few values that occur have different hashes, so that this holds of every pair.
        #[test]
        fn a_sketch_names_just_the_fields_that_differ(
            (before, after) in prop_oneof![Just(Entity::Customer), Just(Entity::Subscription)]
                .prop_flat_map(|entity| (record(entity), record(entity)))
        ) {
            let (old, new) = (json_of(&before), json_of(&after));
            let batch = batch_of(Entity::Customer, &[("a", old), ("b", new.clone())]);
            let found = unpack_sketches(&pack_sketches(&batch).unwrap(), &[KeyHash::of("a")]);
            prop_assert_eq!(found.len(), 1);
            let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            let expected: BTreeSet<FieldName> = all
                .into_iter()
                .filter(|name| before.get(*name) != after.get(*name))
                .map(|name| FieldName::of(name))
                .collect();
            prop_assert_eq!(found[0].1.differing(&Sketch::of(new.as_bytes()).unwrap()), expected);
        }

        #[test]
        fn damaged_bytes_are_no_sketch_and_never_a_panic(
            records in prop::collection::vec(record(Entity::Customer), 1..5),
            at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
            noise in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            let keys: Vec<String> = (0..records.len()).map(|number| number.to_string()).collect();
            let records: Vec<_> = keys.iter().map(String::as_str).zip(records.iter().map(json_of)).collect();
            let hashes: Vec<KeyHash> = keys.iter().map(|key| KeyHash::of(key)).collect();
            let mut packed = pack_sketches(&batch_of(Entity::Customer, &records)).unwrap();
            prop_assert_eq!(unpack_sketches(&packed, &hashes).len(), records.len());
            let at = at.index(packed.len());
            if cut { packed.truncate(at) } else { packed[at] = byte }
            prop_assert!(unpack_sketches(&packed, &hashes).len() <= records.len() * 2);
            unpack_sketches(&noise, &hashes);
        }
    }
}
