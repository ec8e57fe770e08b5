//! Tells an API that is down from one that stumbles.
//!
//! Each request has its own patience; with many in turn, that adds up to hours of an API that is
//! down. So the run as a whole looks how long nothing was answered at all.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::retry::RetryPolicy;

/// Faults since the last answer, over all requests of a step.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Mutex<Option<(Instant, u32)>>,
}

impl Outage {
    /// The API answered, whatever it answered.
    pub(super) fn answered(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A request failed. How long nothing but faults was seen, where that is too long.
    pub(super) fn fault(&self, patience: &RetryPolicy) -> Option<Duration> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, faults) = since.get_or_insert_with(|| (Instant::now(), 0));
        *faults += 1;
        let lasted = began.elapsed();
        (*faults >= patience.tries_max && lasted >= Duration::from_millis(patience.outage_ms)).then_some(lasted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_faults_over_a_long_time_are_an_outage_and_one_answer_ends_it() {
        let (outage, patience) = (Outage::default(), RetryPolicy::default());
        for _ in 0..100 {
            assert_eq!(outage.fault(&patience), None, "many at once are a stumble");
        }
        tokio::time::advance(Duration::from_secs(180)).await;
        assert_eq!(outage.fault(&patience), Some(Duration::from_secs(180)));
        outage.answered();
        assert_eq!(outage.fault(&patience), None);
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(outage.fault(&patience), None, "two faults say little, however far apart");
    }
}
