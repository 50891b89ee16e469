//! Why an operation was not done, with the reason that only the log may have.
//!
//! `transport` turns it into what the caller is told: all ways to fail an authentication look
//! alike there, all denials too, and faults of ours have no text.

use std::time::Duration;

use crate::draw::DrawError;
use crate::journal::JournalError;
use crate::names::InvalidName;
use crate::policy::Denied;
use crate::seal::SealError;
use crate::state::StateError;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A field is missing or breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// What was addressed is not there.
    #[error("{0}")]
    NotFound(&'static str),
    /// The name is taken, or the operation was done before.
    #[error("{0}")]
    Duplicate(&'static str),
    /// The credential or password was not accepted.
    #[error("not authenticated: {0}")]
    Unauthenticated(&'static str),
    /// Policy says no.
    #[error("denied: {0}")]
    Denied(#[from] Denied),
    /// Allowed in general, and against a rule here.
    #[error("{0}")]
    NotPermitted(&'static str),
    /// The password breaks the policy.
    #[error("{0}")]
    WeakPassword(String),
    /// Known, and not offered, or not yet.
    #[error("{0}")]
    NotSupported(&'static str),
    /// Later.
    #[error("too many requests")]
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// This node cannot answer now.
    #[error("unavailable: {0}")]
    Unavailable(&'static str),
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Refused {
    /// A fault of ours.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }
}

impl From<StateError> for Refused {
    fn from(error: StateError) -> Self {
        Self::internal(error)
    }
}

impl From<JournalError> for Refused {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Away(_) => Self::Unavailable("the journal's cluster does not answer"),
            other => Self::internal(other),
        }
    }
}

impl From<DrawError> for Refused {
    fn from(error: DrawError) -> Self {
        Self::internal(error)
    }
}

impl From<SealError> for Refused {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}

impl From<InvalidName> for Refused {
    fn from(error: InvalidName) -> Self {
        Self::Invalid(error.to_string())
    }
}
