//! The answer that usage gets day by day: every record that was sent, in that order, by its ids, and nothing else.
//!
//! What that answer is, is known before it comes, so that it is compared byte by byte, in a fraction of the time that reading
//! it as JSON takes. Of an answer that differs in any byte (another order, a blank, an escape) this says nothing: it is read.

use crate::batch::{Batch, Item};
use crate::entity::KEY_SEPARATOR;
use crate::sink::transport::HttpAnswer;

/// What stands between the ids in a key: customer, feature, and resource, which is empty where there is none.
const SEPARATOR: u8 = KEY_SEPARATOR as u8;

/// Whether the answer to a batch of usage says of each of its records that it was taken.
pub(super) fn names_all(answer: &HttpAnswer, batch: &Batch) -> bool {
    (200..300).contains(&answer.status)
        && !has_escapes(&batch.keys)
        && after_records(&answer.body, batch).is_some_and(|rest| rest == b"}]}}")
}

/// What stands after the last record's ids, where all before is as it has to be.
fn after_records<'t>(text: &'t [u8], batch: &Batch) -> Option<&'t [u8]> {
    let mut keys = batch.keys.as_bytes();
    let keys_after = |item: &Item| batch.keys.len().checked_sub(item.key.end as usize);
    let (last, items) = batch.items.split_last()?;
    let mut text = after(text, br#"{"data":{"reportUsageBulk":[{"customerId":""#)?;
    for item in items {
        (keys, text) = after_record(keys, keys_after(item)?, text)?;
        text = after(text, br#"},{"customerId":""#)?;
    }
    after_record(keys, keys_after(last)?, text).map(|(_, text)| text)
}

/// What stands after the ids of the record whose key is next in `keys`, in both. `keys_after` is how many bytes of keys there
/// are after this one: the keys stand back to back.
fn after_record<'k, 't>(keys: &'k [u8], keys_after: usize, text: &'t [u8]) -> Option<(&'k [u8], &'t [u8])> {
    let (keys, text) = after_id(keys, text)?;
    let text = after(text, br#"","featureId":""#)?;
    let (keys, text) = after_id(keys, text)?;
    let text = after(text, br#"","resourceId":"#)?;
    let resource_bytes = keys.len().checked_sub(keys_after)?;
    if resource_bytes == 0 {
        return Some((keys, after(text, b"null")?));
    }
    let (resource, keys) = keys.split_at_checked(resource_bytes)?;
    let text = after(text, b"\"")?.strip_prefix(resource)?;
    Some((keys, after(text, b"\"")?))
}

/// What stands after an id and its separator in `keys`, and after the id in `text`. The id is not looked for: it ends where the
/// two differ, since no text has the separator there.
#[inline]
fn after_id<'k, 't>(keys: &'k [u8], text: &'t [u8]) -> Option<(&'k [u8], &'t [u8])> {
    let id_bytes = common_bytes(keys, text);
    let keys = after(keys.get(id_bytes..)?, &[SEPARATOR])?;
    Some((keys, text.get(id_bytes..)?))
}

/// How many bytes both begin with.
#[inline]
fn common_bytes(left: &[u8], right: &[u8]) -> usize {
    const STEP: usize = size_of::<u64>();
    let (mut lefts, mut rights, mut same) = (left, right, 0);
    while let (Some((left, left_rest)), Some((right, right_rest))) =
        (lefts.split_first_chunk::<STEP>(), rights.split_first_chunk::<STEP>())
    {
        let differing = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
        if differing != 0 {
            return same + differing.trailing_zeros() as usize / 8;
        }
        (lefts, rights, same) = (left_rest, right_rest, same + STEP);
    }
    same + lefts.iter().zip(rights).take_while(|(left, right)| left == right).count()
}

/// What stands after `literal`, whose length is known when this is compiled: a few loads, and no call.
#[inline]
fn after<'t, const N: usize>(text: &'t [u8], literal: &[u8; N]) -> Option<&'t [u8]> {
    let (start, rest) = text.split_first_chunk::<N>()?;
    (start == literal).then_some(rest)
}

/// Whether JSON writes any character of the keys otherwise than as it is.
fn has_escapes(keys: &str) -> bool {
    // Without a way out in between, so that many bytes are looked at in one step.
    keys.bytes().fold(false, |any, byte| any | (byte == b'"') | (byte == b'\\') | ((byte < 0x20) & (byte != SEPARATOR)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::calls::decode;
    use super::super::wire_usage::{UsageKey, parts};
    use super::*;
    use crate::entity::Entity;
    use crate::sink::Operation;
    use crate::sink::conformance::batch;

    /// Ids as the API takes them, and ids that JSON can't write as they are.
    fn id() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[a-c]{1,3}", 2 => "[ab]{6,18}", 1 => "[a\"\\\\\u{7}é{}:,]{1,4}"]
    }

    fn sent(ids: &[(String, String, Option<String>)]) -> Batch {
        let record = |(customer, feature, resource): &(String, String, Option<String>)| {
            let resource = resource.as_deref().unwrap_or("");
            (format!("{customer}{KEY_SEPARATOR}{feature}{KEY_SEPARATOR}{resource}"), json!({}))
        };
        batch(Entity::Usage, &ids.iter().map(record).collect::<Vec<_>>())
    }

    fn answer(status: u16, body: impl Into<Bytes>) -> HttpAnswer {
        HttpAnswer { status, retry_after: None, date: None, body: body.into() }
    }

    /// The answer as a JSON library writes it.
    fn answered(ids: &[(String, String, Option<String>)]) -> String {
        let named = ids.iter().map(|(customer, feature, resource)| {
            json!({ "customerId": customer, "featureId": feature, "resourceId": resource })
        });
        json!({ "data": { "reportUsageBulk": named.collect::<Vec<_>>() } }).to_string()
    }

    fn own(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn the_daily_answer_is_recognised_and_no_other() {
        let ids = [(own("a"), own("f"), None), (own("b"), own("f"), Some(own("köln 1")))];
        let (batch, body) = (sent(&ids), answered(&ids));
        assert!(names_all(&answer(200, body.clone()), &batch));
        assert!(!names_all(&answer(500, body.clone()), &batch));
        let reversed = answered(&[ids[1].clone(), ids[0].clone()]);
        for other in [
            reversed,
            answered(&ids[..1]),
            answered(&[]),
            body.replace("\"b\"", "\"c\""),
            body.replace("null", "\"\""),
            body.replace("]}}", "]},\"errors\":[{\"message\":\"m\"}]}"),
            format!("{body} x"),
            body[..body.len() - 1].to_owned(),
            own(""),
        ] {
            assert!(!names_all(&answer(200, other.clone()), &batch), "{other}");
        }
    }

    #[test]
    fn an_id_can_not_pass_for_a_piece_of_json() {
        let forged = [(own("a\",\"featureId\":\"f\",\"resourceId\":null},{\"customerId\":\"b"), own("f"), None)];
        let two = answered(&[(own("a"), own("f"), None), (own("b"), own("f"), None)]);
        assert!(!names_all(&answer(200, two), &sent(&forged)));
    }

    #[test]
    fn every_byte_of_an_answer_counts() {
        // Ids of all lengths up to two steps of the comparison and more.
        let id = |bytes: usize| "abcdefghijklmnopqrst"[..bytes].to_owned();
        let ids: Vec<_> =
            (1..20).map(|bytes| (id(bytes), id(20 - bytes), (bytes % 3 > 0).then(|| id(bytes)))).collect();
        let (batch, body) = (sent(&ids), answered(&ids).into_bytes());
        assert!(names_all(&answer(200, body.clone()), &batch));
        for at in 0..body.len() {
            for byte in [body[at] ^ 1, body[at] ^ 0x80, SEPARATOR] {
                let mut other = body.clone();
                other[at] = byte;
                assert!(!names_all(&answer(200, other), &batch), "byte {at} is {byte}");
            }
            assert!(!names_all(&answer(200, body[..at].to_vec()), &batch), "{at} bytes");
        }
    }

    #[test]
    fn an_answer_with_a_key_as_it_is_kept_names_nobody() {
        let ids = [(own("ca"), own("f"), None), (own("b"), own("g"), Some(own("r")))];
        let body = answered(&ids);
        for (from, to) in [
            ("ca\",\"featureId\":\"f\",\"resourceId\":null", "c\",\"featureId\":\"\",\"resourceId\":\"f\u{1f}\""),
            ("a\",\"featureId\":\"f", "a\u{1f}f\",\"featureId\":\"b"),
            ("a\"", "a\u{1f}f\u{1f}b\""),
            ("\"f\",\"resourceId\":null", "\"f\u{1f}b\",\"resourceId\":\"g\u{1f}r\""),
        ] {
            let other = body.replace(from, to);
            assert_ne!(other, body);
            assert!(!names_all(&answer(200, other.clone()), &sent(&ids)), "{other}");
        }
    }

    proptest! {
        /// It may leave an answer to the reader, but never says anything else than the reader does.
        #[test]
        fn what_it_recognises_the_reader_reads_as_the_records_that_were_sent(
            ids in prop::collection::vec((id(), id(), prop::option::of(id())), 1..4),
            edits in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any::<u8>())), 0..2),
        ) {
            let batch = sent(&ids);
            let mut body = answered(&ids).into_bytes();
            for (at, edit) in edits {
                let at = at.index(body.len());
                match edit {
                    Some(byte) => body[at] = byte,
                    None => drop(body.remove(at)),
                }
            }
            let answer = answer(200, body);
            if names_all(&answer, &batch) {
                let read: Vec<UsageKey<'_>> = decode(&answer, Operation::ReportUsage).expect("it is an answer");
                let named: Vec<_> = read.iter().map(UsageKey::parts).collect();
                let sent: Vec<_> = batch.items.iter().map(|item| parts(batch.key_of(item))).collect();
                prop_assert_eq!(named, sent);
            }
        }
    }
}
