//! Finds the records that made the API refuse a batch, so that the others get through.

use std::collections::HashSet;

use super::deliver::Delivery;
use crate::batch::{Batch, Item, Outcome};
use crate::entity::{Entity, KEY_SEPARATOR};
use crate::sink::{ErrorCode, Named, SinkError};

/// The API's word that some records of a request can't be taken.
pub(super) struct Refusal {
    pub code: String,
    pub message: String,
    named: Named,
    customer_is_missing: bool,
}

impl Refusal {
    /// What a refusal says. An error that is none names nobody, and its words stay.
    pub(super) fn of(error: &SinkError) -> Self {
        let (code, message) = error.code_and_message();
        let (named, customer_is_missing) = match error {
            SinkError::Refused { code, named, .. }
            | SinkError::WholeImport { code, named, .. }
            | SinkError::NotReady { code, named, .. } => (named.clone(), *code == ErrorCode::CustomerNotFound),
            SinkError::NotSent { .. }
            | SinkError::Throttled { .. }
            | SinkError::Busy { .. }
            | SinkError::Unknown { .. }
            | SinkError::TooLarge
            | SinkError::Unauthorized { .. }
            | SinkError::Forbidden { .. }
            | SinkError::Malformed { .. }
            | SinkError::NotTheApi { .. }
            | SinkError::FilesCannotWrite(_) => (Named::default(), false),
        };
        Self { code, message, named, customer_is_missing }
    }
}

/// Some records of a batch, by position.
pub(super) struct Part {
    pub indices: Vec<usize>,
}

impl Part {
    pub(super) fn whole(batch: &Batch) -> Self {
        Self { indices: (0..batch.items.len()).collect() }
    }
}

/// What is known after a refusal, and what has to be sent again.
pub(super) struct Isolated {
    pub settled: Vec<(usize, Outcome)>,
    pub again: Vec<Part>,
}

/// Narrows a refusal down: one record is the culprit; named records are tried apart from the
/// others; a customer that the API does not find is looked up; otherwise the part is halved.
pub(super) async fn isolate(delivery: &Delivery, batch: &Batch, part: &Part, refusal: &Refusal) -> Isolated {
    if let [index] = part.indices[..] {
        let failed = Outcome::Failed { code: refusal.code.clone(), message: refusal.message.clone() };
        return Isolated { settled: vec![(index, failed)], again: Vec::new() };
    }
    if refusal.customer_is_missing
        && matches!(batch.entity, Entity::Usage | Entity::Event)
        && let Some(missing) = missing_customers(delivery, batch, part).await
        && !missing.is_empty()
    {
        let (lost, found): (Vec<usize>, Vec<usize>) =
            part.indices.iter().partition(|index| missing.contains(customer_of(batch, &batch.items[**index])));
        let failed = Outcome::Failed {
            code: refusal.code.clone(),
            message: format!("{} (read back: the customer is not in Stigg)", refusal.message),
        };
        let settled = lost.into_iter().map(|index| (index, failed.clone())).collect();
        return Isolated { settled, again: if found.is_empty() { Vec::new() } else { vec![Part { indices: found }] } };
    }
    let (suspects, others): (Vec<usize>, Vec<usize>) = if refusal.named.indices.is_empty() {
        part.indices.iter().partition(|index| is_named(batch, &batch.items[**index], refusal))
    } else {
        let at = |position: &usize| refusal.named.indices.contains(position);
        let (named, others): (Vec<_>, Vec<_>) = part.indices.iter().enumerate().partition(|(position, _)| at(position));
        (named.into_iter().map(|(_, index)| *index).collect(), others.into_iter().map(|(_, index)| *index).collect())
    };
    if !suspects.is_empty() && !others.is_empty() {
        return Isolated { settled: Vec::new(), again: vec![Part { indices: others }, Part { indices: suspects }] };
    }
    let (first, second) = part.indices.split_at(part.indices.len() / 2);
    Isolated { settled: Vec::new(), again: vec![Part { indices: first.to_vec() }, Part { indices: second.to_vec() }] }
}

/// The first part of the key: the customer of a usage record or an event.
fn customer_of<'a>(batch: &'a Batch, item: &Item) -> &'a str {
    let key = batch.key_of(item);
    key.split(KEY_SEPARATOR).next().unwrap_or(key)
}

/// Whether the API's answer names this record: by an id in its list, or in its words.
fn is_named(batch: &Batch, item: &Item, refusal: &Refusal) -> bool {
    let key = batch.key_of(item);
    let mut ids = key.split(KEY_SEPARATOR).filter(|id| !id.is_empty());
    match batch.entity {
        Entity::Customer | Entity::Subscription => {
            refusal.named.ids.iter().any(|named| named == key) || holds_word(&refusal.message, key)
        }
        // A feature's id alone is no name: half the batch may have it. It is still a good cut.
        Entity::Usage | Entity::Event => {
            ids.any(|id| refusal.named.ids.iter().any(|named| named == id) || holds_word(&refusal.message, id))
        }
    }
}

/// Whether `text` holds `word` with no id character around it.
pub(super) fn holds_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '|');
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            !text[..at].chars().next_back().is_some_and(inside)
                && !text[at + word.len()..].chars().next().is_some_and(inside)
        })
}

/// Which customers of the part the API does not have; none where it can't be read.
async fn missing_customers(delivery: &Delivery, batch: &Batch, part: &Part) -> Option<HashSet<String>> {
    let mut missing: HashSet<String> =
        part.indices.iter().map(|index| customer_of(batch, &batch.items[*index]).to_owned()).collect();
    let ids: Vec<String> = missing.iter().cloned().collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for customer in delivery.reading.customers(&ids).await.ok()? {
        missing.remove(&customer.customer_id);
    }
    Some(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_as_a_word_only() {
        assert!(holds_word("customer cus_1 not found", "cus_1"));
        assert!(holds_word("\"cus_1\"", "cus_1"));
        assert!(!holds_word("customer cus_12 not found", "cus_1"));
        assert!(!holds_word("anything", ""));
    }
}
