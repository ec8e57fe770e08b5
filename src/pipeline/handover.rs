//! Batches from preparing to sending, which are on different threads: they cross in groups and come out one by one, or as
//! many as are there.

use tokio::sync::mpsc;

use crate::batch::Batch;

/// Groups that may wait. A group is what came of one batch of rows.
const WAITING_GROUPS_MAX: usize = 1;

/// Where groups go in. Sending fails only when nobody listens any more.
pub(super) type Outgoing = mpsc::Sender<Vec<Batch>>;

/// Where batches come out.
pub(super) struct Incoming {
    groups: mpsc::Receiver<Vec<Batch>>,
    group: std::vec::IntoIter<Batch>,
}

/// A way from one thread to another. Each crossing may wake both sides, which costs more than a batch does; hence groups.
pub(super) fn handover() -> (Outgoing, Incoming) {
    let (sender, groups) = mpsc::channel(WAITING_GROUPS_MAX);
    (sender, Incoming { groups, group: Vec::new().into_iter() })
}

impl Incoming {
    /// The next batch, in order; none at the end. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Batch> {
        loop {
            match self.group.next() {
                Some(batch) => return Some(batch),
                None => self.group = self.groups.recv().await?.into_iter(),
            }
        }
    }

    /// The next batch, where it is there already.
    pub(super) fn next_at_hand(&mut self) -> Option<Batch> {
        loop {
            match self.group.next() {
                Some(batch) => return Some(batch),
                None => self.group = self.groups.try_recv().ok()?.into_iter(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;

    fn group(keys: &[&str]) -> Vec<Batch> {
        let batch = |key: &&str| Batch {
            entity: Entity::Usage,
            json: Default::default(),
            keys: (*key).to_owned(),
            items: Vec::new(),
            origins: Default::default(),
        };
        keys.iter().map(batch).collect()
    }

    #[tokio::test]
    async fn what_is_at_hand_comes_in_order_and_without_waiting() {
        let (outgoing, mut incoming) = handover();
        assert!(incoming.next_at_hand().is_none());
        outgoing.send(group(&["a", "b", "c"])).await.unwrap();
        assert_eq!(incoming.next().await.unwrap().keys, "a");
        outgoing.send(group(&["d"])).await.unwrap();
        let at_hand: Vec<String> = std::iter::from_fn(|| incoming.next_at_hand()).map(|batch| batch.keys).collect();
        assert_eq!(at_hand, ["b", "c", "d"], "of the next group, too");
        outgoing.send(group(&["e"])).await.unwrap();
        drop(outgoing);
        assert_eq!(incoming.next().await.unwrap().keys, "e");
        assert!(incoming.next_at_hand().is_none());
        assert!(incoming.next().await.is_none());
    }
}
