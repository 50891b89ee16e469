//! What IAM said, for a while: credential → identity, and identity, capability, resource →
//! decision.
//!
//! Keys are compared in full. Whatever is kept carries its place in the journal, and is used only
//! while the feed is trusted and has told of nothing since that it rests on. Besides, a yes is kept
//! for the lease, a no for less, and an unknown credential not at all: grants end by themselves. So do
//! credentials, and from then on only IAM says whose they are.
//! Both tables are bounded; a full one forgets what has expired, then everything.
//!
//! Whoever keeps a decision beside the cache asks [`Cache::is_fresh`] before each use: what ends a
//! decision is known here and nowhere else.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tollgate_proto::iam::{Actor, Check, Decision, Identity, Mark};
use tollgate_runtime::clock::SharedClock;

use super::asking::Said;
use super::heard::Heard;

const MAX_ENTRIES: usize = 65_536;
const NO_TTL: Duration = Duration::from_secs(2);

/// The SHA-256 of a credential.
pub(crate) type CredentialKey = [u8; 32];

pub(crate) type DecisionKey = (Actor, u64, Check);

/// An identity, and the place in IAM's journal at which it was said.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) identity: Arc<Identity>,
    pub(crate) said: Mark,
}

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
    clock: SharedClock,
    heard: Heard,
    identities: Table<CredentialKey, Known>,
    decisions: Table<DecisionKey, (Decision, Mark)>,
}

impl Cache {
    pub(crate) fn new(lease: Duration, clock: SharedClock) -> Self {
        Self {
            lease,
            clock,
            heard: Heard::new(lease),
            identities: Table::default(),
            decisions: Table::default(),
        }
    }

    pub(crate) fn credential_key(credential: &SecretString) -> CredentialKey {
        Sha256::digest(credential.expose_secret()).into()
    }

    /// What the feed told.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    pub(crate) fn identity(&self, key: &CredentialKey) -> Option<Known> {
        let (known, _) = self.identities.find(key)?;
        let is_over = known.identity.expires_at_ms.is_some_and(|at| at <= self.clock.now_ms());
        (!is_over && self.is_trusted(Instant::now()) && self.holds(&known)).then_some(known)
    }

    /// Keeps an identity, if it still holds.
    pub(crate) fn keep_identity(&self, key: CredentialKey, known: &Known, asked: Instant) -> bool {
        let holds = self.holds(known);
        if holds {
            self.identities.put(key, known.clone(), asked + self.lease);
        }
        holds
    }

    fn holds(&self, known: &Known) -> bool {
        self.heard.holds_identity(&known.identity, known.said)
    }

    /// Forgets everything about an actor.
    pub(crate) fn forget(&self, actor: &Actor) {
        self.identities.retain(|_, known| known.identity.actor != *actor);
        self.decisions.retain(|(known, ..), _| known != actor);
        // Behind the removal: whoever sees the new number finds nothing of old.
        self.heard.move_on();
    }

    /// Whether a decision still holds.
    pub(crate) fn is_fresh(&self, decided: &Decided, now: Instant) -> bool {
        decided.until > now && decided.generation == self.heard.generation() && self.is_trusted(now)
    }

    /// Whether anything that was kept may be used.
    pub(crate) fn is_trusted(&self, now: Instant) -> bool {
        self.heard.is_trusted(now)
    }

    pub(crate) fn decision(&self, key: &DecisionKey) -> Option<Decided> {
        let generation = self.heard.generation();
        let ((decision, said), until) = self.decisions.find(key)?;
        let (actor, _, check) = key;
        let holds =
            self.is_trusted(Instant::now()) && self.heard.holds_decision(actor, check, said);
        holds.then_some(Decided { decision, until, generation })
    }

    /// Keeps a decision, if it still holds.
    pub(crate) fn keep_decision(
        &self,
        key: &DecisionKey,
        Said { what: decision, mark, asked }: Said<Decision>,
    ) -> Option<Decided> {
        let generation = self.heard.generation();
        let (actor, _, check) = key;
        if !self.heard.holds_decision(actor, check, mark) {
            return None;
        }
        let ttl = match decision {
            Decision::Allow => self.lease,
            Decision::Deny | Decision::NoWorkspace => self.lease.min(NO_TTL),
        };
        let until = asked + ttl;
        self.decisions.put(key.clone(), (decision, mark), until);
        Some(Decided { decision, until, generation })
    }
}

pub(crate) fn decision_key(identity: &Identity, check: &Check) -> DecisionKey {
    (identity.actor.clone(), identity.authz_epoch, check.clone())
}

/// A bounded map whose entries end. The lock is never held across an await.
pub(super) struct Table<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Table<K, V> {
    /// A value, and when it ends.
    pub(super) fn find(&self, key: &K) -> Option<(V, Instant)> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(_, until)| *until > Instant::now()).cloned()
    }

    pub(super) fn retain(&self, keep: impl Fn(&K, &V) -> bool) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|key, (value, _)| keep(key, value));
    }

    /// Keeps a value until then.
    pub(super) fn put(&self, key: K, value: V, until: Instant) {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, (_, until)| *until > now);
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        entries.insert(key, (value, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn entries_end_with_their_time_and_the_table_is_bounded() {
        let table = Table::default();
        for n in 0..=MAX_ENTRIES {
            table.put(n, n, Instant::now() + Duration::from_secs(5));
        }
        assert_eq!(table.0.lock().unwrap().len(), 1);
        assert_eq!(table.find(&MAX_ENTRIES).unwrap().0, MAX_ENTRIES);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(table.find(&MAX_ENTRIES), None);
    }
}
