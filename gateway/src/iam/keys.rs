//! The public keys of session tokens, by their names.
//!
//! In: IAM's key set, which is read when a name is not in it. Out: the key of a name.
//! What a name means never changes, so a set cannot be too old. Whether its key still verifies is
//! another question, which is not answered here.
//! Never: two reads at once, or one close behind another for the same name; or a key that a token
//! brings along.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tollgate_proto::jwt::{Jwk, KeyName, VerifyingKey};

use super::Unreachable;
use super::asking::Asking;
use super::flights::{Flights, Flown};

/// Between two reads for the same name.
const PAUSE: Duration = Duration::from_secs(5);
/// Names that are remembered as missed: there are a few keys at a time.
const MOST_MISSED: usize = 64;

type Set = HashMap<KeyName, VerifyingKey>;

#[derive(Default)]
pub(super) struct Keys {
    known: Mutex<Known>,
    reading: Flights<(), Result<Arc<Set>, Unreachable>>,
}

#[derive(Default)]
struct Known {
    set: Arc<Set>,
    /// What was not in it, or could not be read, and when.
    missed: HashMap<KeyName, Instant>,
}

impl Keys {
    /// The key of a name. None: IAM has none, or cannot be asked.
    pub(super) async fn get(&self, name: KeyName, asking: &Asking) -> Option<VerifyingKey> {
        {
            let known = self.known();
            if let Some(key) = known.set.get(&name) {
                return Some(*key);
            }
            if known.missed.get(&name).is_some_and(|missed| missed.elapsed() < PAUSE) {
                return None;
            }
        }
        let asking = asking.clone();
        let read = async move {
            let keys = asking.iam().keys().await?.keys;
            Ok(Arc::new(keys.iter().filter_map(Jwk::verifier).collect()))
        };
        let read = match self.reading.join(&(), || read.boxed()).await {
            Flown::Own(read) | Flown::Joined(read) => read,
        };
        let mut known = self.known();
        match read {
            Ok(set) => known.set = set,
            Err(reason) => tracing::debug!(%reason, "iam's public keys could not be read"),
        }
        let key = known.set.get(&name).copied();
        if known.missed.len() >= MOST_MISSED {
            known.missed.clear();
        }
        match key {
            Some(_) => known.missed.remove(&name),
            None => known.missed.insert(name, Instant::now()),
        };
        key
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
