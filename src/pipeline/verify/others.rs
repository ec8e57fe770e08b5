//! What Stigg has and the source has not: gone from it, or never in it.

use serde::Serialize;

use crate::entity::Entity;
use crate::ledger::Index;
use crate::pipeline::reading::Reading;
use crate::record::KeyHash;
use crate::sink::SinkError;

/// Most ids that are kept of records which no step has.
const IDS_MAX: usize = 100;

/// Records of one entity that Stigg has and that no step has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Extra {
    /// What they are.
    pub entity: &'static str,
    /// How many; none where it can't be told.
    pub records: Option<u64>,
    /// Ids of the first of them.
    pub ids: Vec<String>,
    /// Why it can't be told, or what to mind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Extra {
    /// What they are, as the word for several.
    pub fn what(&self) -> String {
        if self.entity == Entity::Usage.name() { self.entity.to_owned() } else { format!("{}s", self.entity) }
    }

    /// Of an entity whose records the API does not list.
    pub(super) fn unlisted(entity: Entity) -> Self {
        Self { entity: entity.name(), records: None, ids: Vec::new(), note: Some(UNLISTED.to_owned()) }
    }
}

const UNLISTED: &str = "the API does not list it";

/// Whether the API lists the ids of an entity.
pub(super) fn is_listed(entity: Entity) -> bool {
    match entity {
        Entity::Customer | Entity::Subscription => true,
        Entity::Usage | Entity::Event => false,
    }
}

/// Calls `each` for every id that the API has of an entity; ends early when the run stops.
async fn every_id(reading: &Reading, entity: Entity, mut each: impl FnMut(String)) -> Result<(), SinkError> {
    let mut after: Option<String> = None;
    loop {
        let page = match entity {
            Entity::Customer => reading.customer_ids(after.as_deref()).await?,
            Entity::Subscription => reading.subscription_ids(after.as_deref()).await?,
            Entity::Usage | Entity::Event => return Ok(()),
        };
        page.items.into_iter().for_each(&mut each);
        match page.next {
            Some(next) if !reading.stop.is_raised() => after = Some(next),
            Some(_) | None => return Ok(()),
        }
    }
}

/// Ids that the API has, that the index knows, and that did not come.
pub(super) async fn gone(reading: &Reading, entity: Entity, index: &Index) -> Result<Vec<String>, SinkError> {
    let mut gone = Vec::new();
    every_id(reading, entity, |id| {
        if index.is_unseen(KeyHash::of(&id)) {
            gone.push(id);
        }
    })
    .await?;
    Ok(gone)
}

/// Why nobody can tell which records are gone from the source.
pub(super) fn untold(
    entity: Entity,
    is_whole: bool,
    is_alone: bool,
    is_complete: bool,
    rejected: u64,
) -> Option<&'static str> {
    match entity {
        Entity::Usage | Entity::Event => return Some(UNLISTED),
        Entity::Customer | Entity::Subscription => {}
    }
    if !is_whole {
        Some("a file may be a part of the data")
    } else if !is_alone {
        Some("another step has records of the same kind")
    } else if !is_complete {
        Some("the source was not read to its end")
    } else if rejected > 0 {
        Some("rows were rejected, and their keys are not known")
    } else {
        None
    }
}

/// What the steps have of one entity.
pub(super) struct InSteps {
    pub entity: Entity,
    pub indexes: Vec<Index>,
    pub is_complete: bool,
    pub rejected: u64,
}

impl InSteps {
    /// Finds out what Stigg has besides.
    pub(super) async fn extra(&self, reading: &Reading) -> Extra {
        let entity = self.entity.name();
        if !self.is_complete {
            let note = Some("the source was not read to its end".to_owned());
            return Extra { entity, records: None, ids: Vec::new(), note };
        }
        let (mut records, mut ids) = (0, Vec::new());
        let read = every_id(reading, self.entity, |id| {
            let hash = KeyHash::of(&id);
            if !self.indexes.iter().any(|index| index.holds(hash) && !index.is_unseen(hash)) {
                records += 1;
                if ids.len() < IDS_MAX {
                    ids.push(id);
                }
            }
        })
        .await;
        match read {
            Err(error) => Extra { entity, records: None, ids: Vec::new(), note: Some(error.with_causes()) },
            Ok(()) if reading.stop.is_raised() => {
                Extra { entity, records: None, ids, note: Some("it was stopped before all were listed".to_owned()) }
            }
            Ok(()) => {
                let note =
                    (self.rejected > 0).then(|| "rows were rejected, and their records may be among these".to_owned());
                Extra { entity, records: Some(records), ids, note }
            }
        }
    }
}
