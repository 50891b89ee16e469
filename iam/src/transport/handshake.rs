//! TLS with whoever connects, where `[iam.tls]` is set.
//!
//! In: a connection. Out: the same one, under TLS or in clear as the settings say; or none, and the
//! reason in the log. Anybody can fail a handshake, so that a warning comes every ten seconds at
//! most; what comes between is told at `debug`, and all of them are counted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;
use tollgate_runtime::stream::Stream;
use tollgate_runtime::tls::{Acceptor, HandshakeError};

use crate::metrics::Metrics;

/// Between two warnings.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// How connections begin.
#[derive(Debug)]
pub(super) struct Handshake {
    /// None: in clear.
    acceptor: Option<Arc<Acceptor>>,
    metrics: Arc<Metrics>,
    warned: Mutex<Option<Instant>>,
}

impl Handshake {
    pub(super) fn new(acceptor: Option<Arc<Acceptor>>, metrics: Arc<Metrics>) -> Self {
        Self { acceptor, metrics, warned: Mutex::default() }
    }

    /// Does it, in time.
    pub(super) async fn shake(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        within: Duration,
    ) -> Option<Stream> {
        let Some(acceptor) = &self.acceptor else { return Some(Stream::Plain(stream)) };
        let done = acceptor.accept(stream, within).await;
        done.inspect_err(|error| self.note(peer, error)).ok()
    }

    fn note(&self, peer: SocketAddr, error: &HandshakeError) {
        self.metrics.tls_failures.inc(error.failure());
        if self.is_time_to_warn() {
            tracing::warn!(%peer, %error, "a TLS handshake on iam.listen failed");
        } else {
            tracing::debug!(%peer, %error, "a TLS handshake on iam.listen failed");
        }
    }

    fn is_time_to_warn(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = warned.is_none_or(|warned| warned.elapsed() >= BETWEEN_WARNINGS);
        if is_time {
            *warned = Some(Instant::now());
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn strangers_do_not_fill_the_log() {
        let handshake = Handshake::new(None, Arc::default());
        for _ in 0..2 {
            assert!(handshake.is_time_to_warn());
            assert!(!handshake.is_time_to_warn());
            tokio::time::sleep(BETWEEN_WARNINGS).await;
        }
    }
}
