//! The answer that usage gets day by day: every record that was sent, in that order, by its ids, and nothing else.
//!
//! What that answer is, is known before it comes, so that it is compared byte by byte, in a fraction of the time that reading
//! it as JSON takes. Of an answer that differs in any byte (another order, a blank, an escape) this says nothing: it is read.

use crate::batch::Batch;
use crate::entity::KEY_SEPARATOR;
use crate::sink::transport::HttpAnswer;

/// What stands between the ids in a key: customer, feature, and resource, which is empty where there is none.
const SEPARATOR: u8 = KEY_SEPARATOR as u8;

/// Whether the answer to a batch of usage says of each of its records that it was taken.
pub(super) fn names_all(answer: &HttpAnswer, batch: &Batch) -> bool {
    if !(200..300).contains(&answer.status) || has_escapes(&batch.keys) {
        return false;
    }
    let mut rest = &answer.body[..];
    let mut skip = |bytes: &[u8]| match rest.strip_prefix(bytes) {
        Some(after) => {
            rest = after;
            true
        }
        None => false,
    };
    let mut before: &[u8] = br#"{"data":{"reportUsageBulk":[{"customerId":""#;
    for item in &batch.items {
        let mut ids = batch.key_of(item).as_bytes().split(|byte| *byte == SEPARATOR);
        let mut next = || ids.next().unwrap_or_default();
        let (customer, feature, resource) = (next(), next(), next());
        let is_named = skip(before)
            && skip(customer)
            && skip(br#"","featureId":""#)
            && skip(feature)
            && if resource.is_empty() {
                skip(br#"","resourceId":null"#)
            } else {
                skip(br#"","resourceId":""#) && skip(resource) && skip(b"\"")
            };
        if !is_named {
            return false;
        }
        before = br#"},{"customerId":""#;
    }
    rest == b"}]}}"
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
        prop_oneof![6 => "[a-c]{1,3}", 1 => "[a\"\\\\\u{7}é{}:,]{1,4}"]
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
