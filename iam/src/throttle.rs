//! Throttles on guessing: they count failures, never what succeeds, and know nothing of keys and
//! tokens.
//!
//! Five failures of an account are free; each one more doubles a pause, up to fifteen minutes. An
//! address has thirty failures a minute. Accounts that do not exist are counted alike, so a
//! throttle tells nothing. In memory, bounded: at [`MAX_ENTRIES`] the oldest are forgotten.

use std::collections::HashMap;
use std::hash::Hash as Key;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tollgate_runtime::clock::SharedClock;

use crate::hash::Hash;
use crate::refused::Refused;

/// Failures of an account without a pause.
pub const FREE: u32 = 5;
/// The longest pause.
pub const MAX_PAUSE_MS: u64 = 900_000;
/// Failures of an address in a minute.
pub const PER_ADDRESS: u32 = 30;
/// Accounts, and addresses, that are remembered.
pub const MAX_ENTRIES: usize = 65_536;

const MINUTE_MS: u64 = 60_000;
/// A count is forgotten after this long without a failure.
const FORGET_MS: u64 = 3_600_000;

/// The counters.
#[derive(Debug)]
pub struct Throttle {
    clock: SharedClock,
    accounts: Mutex<HashMap<Hash, Count>>,
    addresses: Mutex<HashMap<String, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    /// Accounts: when the next attempt may be made. Addresses: when the minute ends.
    until_ms: u64,
    last_ms: u64,
}

/// An attempt that may be made. Whoever made it says how it went.
#[derive(Debug)]
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Hash,
    address: Option<String>,
}

impl Throttle {
    /// Counters that stand at nothing.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, accounts: Mutex::default(), addresses: Mutex::default() }
    }

    /// Asks whether an attempt may be made on an account.
    pub fn attempt(&self, account: &str, address: Option<&str>) -> Result<Attempt<'_>, Refused> {
        let now_ms = self.clock.now_ms();
        let refuse = |until_ms: u64| Refused::TooMany {
            retry_after: Duration::from_millis(until_ms.saturating_sub(now_ms)),
        };
        if let Some(address) = address
            && let Some(count) = lock(&self.addresses).get(address)
            && count.failures >= PER_ADDRESS
            && now_ms < count.until_ms
        {
            return Err(refuse(count.until_ms));
        }
        // A hash, so that a long name takes no more room than a short one.
        let account = Hash::of(account.as_bytes());
        if let Some(count) = lock(&self.accounts).get_mut(&account)
            && count.failures >= FREE
        {
            if now_ms < count.until_ms {
                return Err(refuse(count.until_ms));
            }
            // Taken at once, so that only one of many at the same time gets through.
            count.until_ms = now_ms + pause_ms(count.failures);
        }
        Ok(Attempt { throttle: self, account, address: address.map(str::to_owned) })
    }
}

impl Attempt<'_> {
    /// It was the right password: the account starts afresh.
    pub fn succeeded(self) {
        lock(&self.throttle.accounts).remove(&self.account);
    }

    /// It was not.
    pub fn failed(self) {
        let now_ms = self.throttle.clock.now_ms();
        let mut accounts = lock(&self.throttle.accounts);
        let count = entry(&mut accounts, self.account, now_ms, now_ms);
        count.failures = count.failures.saturating_add(1);
        count.last_ms = now_ms;
        if count.failures >= FREE {
            count.until_ms = now_ms + pause_ms(count.failures);
        }
        drop(accounts);
        if let Some(address) = self.address {
            let mut addresses = lock(&self.throttle.addresses);
            let count = entry(&mut addresses, address, now_ms, now_ms + MINUTE_MS);
            if count.until_ms <= now_ms {
                (count.failures, count.until_ms) = (0, now_ms + MINUTE_MS);
            }
            count.failures = count.failures.saturating_add(1);
            count.last_ms = now_ms;
        }
    }
}

fn pause_ms(failures: u32) -> u64 {
    let doubled = 1_u64.checked_shl(failures.saturating_sub(FREE)).unwrap_or(u64::MAX);
    doubled.saturating_mul(1_000).min(MAX_PAUSE_MS)
}

fn entry<K: Key + Eq + Clone>(
    counts: &mut HashMap<K, Count>,
    key: K,
    now_ms: u64,
    until_ms: u64,
) -> &mut Count {
    if counts.len() >= MAX_ENTRIES && !counts.contains_key(&key) {
        counts.retain(|_, count| now_ms.saturating_sub(count.last_ms) < FORGET_MS);
        // A flood of names: half of the table goes, whichever is older.
        if counts.len() >= MAX_ENTRIES {
            let mut times: Vec<_> = counts.values().map(|count| count.last_ms).collect();
            let (_, median, _) = times.select_nth_unstable(MAX_ENTRIES / 2);
            let median = *median;
            counts.retain(|_, count| count.last_ms > median);
        }
    }
    counts.entry(key).or_insert(Count { failures: 0, until_ms, last_ms: now_ms })
}

/// A poisoned counter is still a counter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tollgate_runtime::clock::ManualClock;

    use super::*;

    fn throttle() -> (Throttle, std::sync::Arc<ManualClock>) {
        let clock = ManualClock::at_ms(1_800_000_000_000);
        (Throttle::new(clock.clone()), clock)
    }

    fn fail(throttle: &Throttle, account: &str, address: Option<&str>) -> Option<Duration> {
        match throttle.attempt(account, address) {
            Ok(attempt) => {
                attempt.failed();
                None
            }
            Err(Refused::TooMany { retry_after }) => Some(retry_after),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn five_failures_are_free_and_pauses_double() {
        let (throttle, clock) = throttle();
        for _ in 0..5 {
            assert_eq!(fail(&throttle, "ann", None), None);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(fail(&throttle, "ann", None), Some(pause));
            assert_eq!(fail(&throttle, "bob", None), None, "another account is not concerned");
            throttle.attempt("bob", None).unwrap().succeeded();
            clock.advance(pause);
            assert_eq!(fail(&throttle, "ann", None), None);
        }
    }

    #[test]
    fn success_starts_afresh_and_many_at_once_get_one_attempt() {
        let (throttle, clock) = throttle();
        for _ in 0..5 {
            fail(&throttle, "ann", None);
        }
        clock.advance(Duration::from_secs(1));
        let attempt = throttle.attempt("ann", None).unwrap();
        assert!(throttle.attempt("ann", None).is_err(), "a second one at the same time");
        attempt.succeeded();
        for _ in 0..5 {
            assert_eq!(fail(&throttle, "ann", None), None);
        }
    }

    #[test]
    fn an_address_has_thirty_failures_a_minute() {
        let (throttle, clock) = throttle();
        for n in 0..30 {
            assert_eq!(fail(&throttle, &n.to_string(), Some("10.0.0.1")), None);
        }
        assert_eq!(fail(&throttle, "x", Some("10.0.0.1")), Some(Duration::from_mins(1)));
        assert_eq!(fail(&throttle, "x", Some("10.0.0.2")), None);
        clock.advance(Duration::from_mins(1));
        assert_eq!(fail(&throttle, "y", Some("10.0.0.1")), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let (throttle, clock) = throttle();
        for n in 0..MAX_ENTRIES + 10 {
            fail(&throttle, &n.to_string(), None);
            if n % 1_000 == 0 {
                clock.advance(Duration::from_millis(1));
            }
        }
        assert!(lock(&throttle.accounts).len() <= MAX_ENTRIES);
    }
}
