//! What IAM said, for a while: credential → identity, and identity, capability, resource →
//! decision.
//!
//! Keys are compared in full. The time to live is the bound on how long authority that was taken
//! away may still be used here: the lease for a yes, less for a no. Unknown credentials are not
//! kept at all. Both tables are bounded; a full one forgets what has expired, then everything.
//!
//! Whoever keeps a decision beside the cache asks [`Cache::is_fresh`] before each use: what ends a
//! decision is known here and nowhere else.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tollgate_proto::iam::{Actor, Check, Decision, Identity};

const MAX_ENTRIES: usize = 65_536;
const NO_TTL: Duration = Duration::from_secs(2);

/// The SHA-256 of a credential.
pub(crate) type CredentialKey = [u8; 32];

type DecisionKey = (Actor, u64, Check);

/// A decision, and what it takes to know whether it still holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    until: Instant,
    generation: u64,
}

impl Decided {
    /// It may hold until then, and not longer.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }
}

pub(crate) struct Cache {
    lease: Duration,
    /// Counts the times at which something was forgotten before its time.
    generation: AtomicU64,
    identities: Table<CredentialKey, Arc<Identity>>,
    decisions: Table<DecisionKey, Decision>,
}

impl Cache {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            lease,
            generation: AtomicU64::new(0),
            identities: Table::default(),
            decisions: Table::default(),
        }
    }

    pub(crate) fn credential_key(credential: &SecretString) -> CredentialKey {
        Sha256::digest(credential.expose_secret()).into()
    }

    pub(crate) fn identity(&self, key: &CredentialKey) -> Option<Arc<Identity>> {
        self.identities.get(key)
    }

    pub(crate) fn keep_identity(&self, key: CredentialKey, identity: &Arc<Identity>) {
        self.identities.put(key, Arc::clone(identity), self.lease);
    }

    /// Forgets everything about an actor.
    pub(crate) fn forget(&self, actor: &Actor) {
        self.identities.retain(|_, identity| identity.actor != *actor);
        self.decisions.retain(|(known, ..), _| known != actor);
        // Behind the removal: whoever sees the new number finds nothing of old.
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// To be taken before IAM is asked: an answer that was under way meanwhile is of old.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether a decision still holds.
    pub(crate) fn is_fresh(&self, decided: &Decided, now: Instant) -> bool {
        decided.until > now && decided.generation == self.generation()
    }

    pub(crate) fn decision(&self, identity: &Identity, check: &Check) -> Option<Decided> {
        let generation = self.generation();
        let (decision, until) = self.decisions.find(&decision_key(identity, check))?;
        Some(Decided { decision, until, generation })
    }

    /// Keeps what was decided since the generation was taken.
    pub(crate) fn keep_decision(
        &self,
        identity: &Identity,
        check: &Check,
        decision: Decision,
        generation: u64,
    ) -> Decided {
        let ttl = match decision {
            Decision::Allow => self.lease,
            Decision::Deny | Decision::NoWorkspace => self.lease.min(NO_TTL),
        };
        let until = self.decisions.put(decision_key(identity, check), decision, ttl);
        Decided { decision, until, generation }
    }
}

fn decision_key(identity: &Identity, check: &Check) -> DecisionKey {
    (identity.actor.clone(), identity.authz_epoch, check.clone())
}

/// A bounded map whose entries end. The lock is never held across an await.
struct Table<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Table<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.find(key).map(|(value, _)| value)
    }

    /// A value, and when it ends.
    fn find(&self, key: &K) -> Option<(V, Instant)> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(_, until)| *until > Instant::now()).cloned()
    }

    fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|key, (value, _)| keep(key, value));
    }

    /// Keeps a value, and says when it ends.
    fn put(&self, key: K, value: V, ttl: Duration) -> Instant {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, (_, until)| *until > now);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        let until = now + ttl;
        entries.insert(key, (value, until));
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn entries_end_with_their_time_and_the_table_is_bounded() {
        let table = Table::default();
        for n in 0..=MAX_ENTRIES {
            table.put(n, n, Duration::from_secs(5));
        }
        assert_eq!(table.0.lock().unwrap().len(), 1);
        assert_eq!(table.get(&MAX_ENTRIES), Some(MAX_ENTRIES));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(table.get(&MAX_ENTRIES), None);
    }
}
