//! Batches from preparing to sending, which are on different threads: they cross in groups and come out one by one.

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
}
