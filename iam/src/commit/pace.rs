//! How long to stand back after another node was first: at random, so that two do not meet again.

use std::time::Duration;

/// In times of a commit: the first pause is at most this long.
const FIRST: u32 = 2;
/// And no pause is longer.
const LONGEST: u32 = 16;

/// How it went lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    lost: u32,
    commit: Duration,
}

impl Pace {
    /// A commit went through.
    pub(super) fn won(&mut self, took: Duration) {
        *self = Self { lost: 0, commit: took };
    }

    /// Another node was first. Gives how long to wait.
    pub(super) fn lost(&mut self, took: Duration) -> Duration {
        self.commit = took;
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.lost)).min(LONGEST);
        self.lost = self.lost.saturating_add(1);
        (self.commit * longest).mul_f64(rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let (mut pace, commit) = (Pace::default(), Duration::from_millis(10));
        for bound in [2, 4, 8, 16, 16] {
            assert!(pace.lost(commit) <= bound * commit);
        }
        pace.won(commit);
        assert!(pace.lost(commit) <= 2 * commit);
    }
}
