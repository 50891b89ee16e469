//! Why a handshake failed, in words for whoever reads the log.
//!
//! In: what the library says. Out: a reason from a closed set. Whoever speaks in clear is said to:
//! the library takes their words for a damaged message.

use std::io;
use std::time::Duration;

use rustls::InvalidMessage;

/// Why there is no connection under TLS.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// What came is no TLS.
    #[error("the other side speaks in clear, and not TLS")]
    InClear,
    /// The other side broke it off, did what TLS forbids, or is not whom it should be.
    #[error("{0}")]
    Failed(io::Error),
    /// It took too long.
    #[error("it was not done within {0:?}")]
    TooSlow(Duration),
}

crate::label! {
    /// Why a TLS handshake failed.
    pub enum TlsFailure, "reason" {
        /// The other side broke it off, or did what TLS forbids.
        Failed = "failed",
        /// It took too long.
        TooSlow = "too-slow",
        /// The other side spoke no TLS.
        InClear = "in-clear",
    }
}

impl HandshakeError {
    /// As it is counted.
    pub fn failure(&self) -> TlsFailure {
        match self {
            Self::InClear => TlsFailure::InClear,
            Self::Failed(_) => TlsFailure::Failed,
            Self::TooSlow(_) => TlsFailure::TooSlow,
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                Self::InClear
            }
            Some(_) | None => Self::Failed(error),
        }
    }
}
