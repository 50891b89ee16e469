//! Pauses between attempts: doubling, with full jitter, so that clients that lost a gateway together
//! do not come back to it together
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

use rand::RngExt;

/// Counts attempts that failed in a row.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The number of the next attempt, from 1.
    pub(super) fn attempt(&self) -> u32 {
        self.failures + 1
    }

    /// One has worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// One has failed: how long to pause, and not less than `least`.
    pub(super) fn fail(&mut self, least: Duration) -> Duration {
        let most = self.first.saturating_mul(1 << self.failures.min(20)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        least + most.mul_f64(rand::rng().random_range(0.0..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_never_come_too_early() {
        let (first, longest) = (Duration::from_millis(250), Duration::from_secs(30));
        let mut backoff = Backoff::new(first, longest);
        for failures in 0..40 {
            let most = first.saturating_mul(1 << failures.min(20)).min(longest);
            assert!(backoff.fail(Duration::ZERO) <= most);
        }
        let least = Duration::from_mins(1);
        assert!(backoff.fail(least) >= least);
        backoff.reset();
        assert_eq!(backoff.attempt(), 1);
        assert!(backoff.fail(Duration::ZERO) <= first);
    }
}
