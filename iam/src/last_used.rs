//! When keys were last used: noted in memory, written once a minute, off every road.
//!
//! What is noted may be lost in a crash. When [`MAX_NOTED`] keys are noted, others have to wait
//! for the next minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tollgate_proto::ids::KeyId;

use crate::journal::{Journal, JournalError};

/// How many keys are noted between two writes.
pub const MAX_NOTED: usize = 100_000;
/// How often they are written.
const PERIOD: Duration = Duration::from_mins(1);

/// What was used since the last write.
#[derive(Debug, Default)]
pub struct LastUsed(Mutex<HashMap<KeyId, u64>>);

impl LastUsed {
    /// Notes a use.
    pub fn note(&self, key: KeyId, at_ms: u64) {
        let mut noted = self.lock();
        if noted.len() < MAX_NOTED || noted.contains_key(&key) {
            noted.insert(key, at_ms);
        }
    }

    /// When keys were last used, as far as it is known.
    pub async fn of(
        &self,
        journal: &dyn Journal,
        keys: Vec<KeyId>,
    ) -> Result<Vec<Option<u64>>, JournalError> {
        let written = journal.last_used(keys.clone()).await?;
        let noted = self.lock();
        Ok(keys.iter().zip(written).map(|(key, at)| at.max(noted.get(key).copied())).collect())
    }

    /// Writes what was noted, every minute and at the end.
    pub async fn keep(self: Arc<Self>, journal: Arc<dyn Journal>, stop: CancellationToken) {
        loop {
            let stopped = tokio::time::timeout(PERIOD, stop.cancelled()).await.is_ok();
            let noted = std::mem::take(&mut *self.lock());
            if !noted.is_empty()
                && let Err(error) = journal.put_last_used(noted.into_iter().collect()).await
            {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "times of last use were not written");
            }
            if stopped {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
