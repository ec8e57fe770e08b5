//! What the API has now of the records that would be sent.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::batch::Batch;
use crate::entity::KEY_SEPARATOR;
use crate::pipeline::verify::{Read, Unequal};
use crate::record::Fingerprint;

/// Most records that are kept with their differences.
const SAMPLES_MAX: usize = 20;
/// Most fields that are counted apart; metadata may have as many as it likes.
const FIELDS_MAX: usize = 200;

/// What Stigg has of the records that a step would send.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Live {
    /// Records that are not there.
    pub absent: u64,
    /// Records that are there with other content.
    pub different: u64,
    /// Records that are there with the same content: sending them changes nothing.
    pub equal: u64,
    /// Records that could not be read.
    pub unread: u64,
    /// How many records differ in each field.
    pub fields: BTreeMap<String, u64>,
    /// The first records that differ.
    pub samples: Vec<Unequal>,
    /// Names what was found, whatever the order.
    #[serde(skip)]
    pub(super) sum: u64,
}

impl Live {
    pub(super) fn add(&mut self, batch: &Batch, read: Read) {
        let Ok(read) = read else {
            self.unread += batch.items.len() as u64;
            return;
        };
        for (item, found) in batch.items.iter().zip(read) {
            let mut word = batch.key_of(item).to_owned();
            match found {
                None => {
                    self.absent += 1;
                    word.push_str("\n-");
                }
                Some(differences) if differences.is_empty() => {
                    self.equal += 1;
                    word.push_str("\n=");
                }
                Some(differences) => {
                    self.different += 1;
                    for difference in &differences {
                        word.push('\n');
                        word.push_str(&difference.to_string());
                        if self.fields.len() < FIELDS_MAX || self.fields.contains_key(&difference.field) {
                            *self.fields.entry(difference.field.clone()).or_default() += 1;
                        }
                    }
                    if self.samples.len() < SAMPLES_MAX {
                        let key = batch.key_of(item).replace(KEY_SEPARATOR, " ").trim_end().to_owned();
                        self.samples.push(Unequal {
                            key,
                            place: batch.origin_of(item).place().to_string(),
                            differences,
                        });
                    }
                }
            }
            self.sum = self.sum.wrapping_add(Fingerprint::of(word.as_bytes()).0);
        }
    }
}
