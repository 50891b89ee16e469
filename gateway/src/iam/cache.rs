//! What IAM said, for a while: credential → identity, and identity, capability, resource →
//! decision.
//!
//! Keys are compared in full. The time to live is the bound on how long authority that was taken
//! away may still be used here: the lease for a yes, less for a no. Unknown credentials are not
//! kept at all. Both tables are bounded; a full one forgets what has expired, then everything.

use std::collections::HashMap;
use std::hash::Hash;
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

pub(crate) struct Cache {
    lease: Duration,
    identities: Table<CredentialKey, Arc<Identity>>,
    decisions: Table<DecisionKey, Decision>,
}

impl Cache {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, identities: Table::default(), decisions: Table::default() }
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
    }

    pub(crate) fn decision(&self, identity: &Identity, check: &Check) -> Option<Decision> {
        self.decisions.get(&decision_key(identity, check))
    }

    pub(crate) fn keep_decision(&self, identity: &Identity, check: &Check, decision: Decision) {
        let ttl = match decision {
            Decision::Allow => self.lease,
            Decision::Deny | Decision::NoWorkspace => self.lease.min(NO_TTL),
        };
        self.decisions.put(decision_key(identity, check), decision, ttl);
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
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, until) = entries.get(key)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|key, (value, _)| keep(key, value));
    }

    fn put(&self, key: K, value: V, ttl: Duration) {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, (_, until)| *until > now);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(key, (value, now + ttl));
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
