//! How long to wait before a batch is sent again, and how often.

use std::time::Duration;

/// Waits between tries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The first wait, before jitter.
    pub wait_ms: u64,
    /// The longest wait, before jitter.
    pub wait_ms_max: u64,
    /// Most tries of one request after faults; "slow down" does not count as a fault.
    pub tries_max: u32,
    /// Most answers "slow down" or "another import is under way" to one request before it is left to the next run.
    pub throttles_max: u32,
    /// How long nothing may be answered before the run ends and leaves the rest to the next one.
    pub outage_ms: u64,
    /// How long an asynchronous import may show no progress before what is missing counts as refused.
    pub stalled_ms: u64,
    /// How long after the end of an asynchronous import its records may stay invisible.
    pub visible_ms: u64,
}

impl Default for RetryPolicy {
    /// 0.5 s doubling to 30 s, eight tries: two minutes of trouble are survived in place, longer
    /// ones by the next run. The official clients give up after three to five tries within 8 s.
    fn default() -> Self {
        Self {
            wait_ms: 500,
            wait_ms_max: 30_000,
            tries_max: 8,
            throttles_max: 60,
            outage_ms: 180_000,
            stalled_ms: 120_000,
            visible_ms: 30_000,
        }
    }
}

impl RetryPolicy {
    /// The wait before try number `tries` + 1: half fixed, half random, so that batches that
    /// failed together don't come back together.
    pub fn wait(&self, tries: u32, random: f64) -> Duration {
        let full = self.wait_ms.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(self.wait_ms_max);
        Duration::from_millis(full / 2) + Duration::from_millis(full / 2).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let policy = RetryPolicy::default();
        let waits: Vec<u128> = (1..=8).map(|tries| policy.wait(tries, 1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(policy.wait(1, 0.0).as_millis(), 250);
        assert_eq!(policy.wait(u32::MAX, 1.0).as_millis(), 30_000);
    }
}
