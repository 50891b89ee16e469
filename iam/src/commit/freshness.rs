//! How old the state may be, where others write to the same journal.
//!
//! In: when the journal was last found to have nothing newer. Out: whether the state is trusted.
//! Never: a way to the writer, so that whoever looks at this does not keep it from its end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::refused::Refused;

/// Since when something may be newer than the state.
#[derive(Debug, Clone)]
pub struct Freshness {
    /// When nothing was newer; none, where nobody else writes.
    as_of: Option<watch::Receiver<Instant>>,
    /// For how long the state is trusted after that.
    lease: Duration,
}

impl Freshness {
    pub(super) fn new(as_of: Option<watch::Receiver<Instant>>, lease: Duration) -> Self {
        Self { as_of, lease }
    }

    /// Whether nothing was newer at that time or later.
    pub(super) fn reaches(&self, since: Instant) -> bool {
        self.as_of.as_ref().is_none_or(|as_of| *as_of.borrow() >= since)
    }

    /// How old the state may be: since when something may be newer.
    pub fn age(&self) -> Duration {
        self.as_of.as_ref().map_or(Duration::ZERO, |as_of| as_of.borrow().elapsed())
    }

    /// Refuses where the state is older than anybody trusts.
    pub fn check(&self) -> Result<(), Refused> {
        if self.age() > self.lease {
            return Err(Refused::Unavailable("the journal was not read for too long"));
        }
        Ok(())
    }
}
