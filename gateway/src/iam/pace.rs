//! How often IAM is asked for users whom it refuses: each refusal costs it a line in the audit
//! file, and whoever holds the weakest of keys can be refused without end.
//!
//! In: what IAM refused. Out: whether it may be asked for a user now, or when.
//! Never: a limit on what is allowed. A user without refusals is not looked up twice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tollgate_proto::ids::UserId;

/// A user may be refused so often in the long run: twenty times a second.
const EACH: Duration = Duration::from_millis(50);
/// And so often at once: a thousand times.
const BURST: Duration = Duration::from_secs(50);
/// Users who are remembered.
const MAX_ENTRIES: usize = 65_536;

/// A leaky bucket for each user who was refused of late: when it will be empty.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<UserId, Instant>>);

impl Pace {
    /// How long until IAM may be asked for this user again, if it may not be now.
    pub(super) fn wait(&self, user: UserId, now: Instant) -> Option<Duration> {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = buckets.get(&user)?.checked_sub(BURST)?;
        // There must be room for one more.
        Some((full + EACH).saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// IAM has refused so many things. What was under way when the bucket became full counts too,
    /// and has to leak out as the rest: the pace holds whatever is asked at once.
    pub(super) fn refused(&self, user: UserId, times: usize, now: Instant) {
        let more = EACH.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX));
        if more.is_zero() {
            return;
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_ENTRIES && !buckets.contains_key(&user) {
            buckets.retain(|_, empty| *empty > now);
            if buckets.len() >= MAX_ENTRIES {
                buckets.clear();
            }
        }
        let empty = buckets.entry(user).or_insert(now);
        *empty = (*empty).max(now) + more;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_at_once_and_twenty_a_second() {
        let pace = Pace::default();
        let (ann, bob) = (user(1), user(2));
        for n in 0..1_000 {
            assert_eq!(pace.wait(ann, Instant::now()), None, "{n}");
            pace.refused(ann, 1, Instant::now());
        }
        for _ in 0..20 {
            assert_eq!(pace.wait(ann, Instant::now()), Some(EACH));
            assert_eq!(pace.wait(bob, Instant::now()), None);
            tokio::time::advance(EACH).await;
            assert_eq!(pace.wait(ann, Instant::now()), None);
            pace.refused(ann, 1, Instant::now());
        }
        // Those that were under way.
        pace.refused(ann, 40, Instant::now());
        assert_eq!(pace.wait(ann, Instant::now()), Some(EACH * 41));
        tokio::time::advance(BURST + EACH * 40).await;
        pace.refused(ann, 999, Instant::now());
        assert_eq!(pace.wait(ann, Instant::now()), None, "all is forgotten in time");
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let pace = Pace::default();
        for number in 0..MAX_ENTRIES as u128 + 10 {
            pace.refused(user(number), 1, Instant::now());
        }
        assert!(pace.0.lock().unwrap().len() <= MAX_ENTRIES);
    }
}
