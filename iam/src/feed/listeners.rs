//! The gateways that poll: how far each has come, and what it ended because of what it heard.
//!
//! A gateway that was not heard for the lease does not count: it trusts nothing any more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tollgate_proto::iam::Ended;
use tollgate_proto::ids::{GatewayId, Seq};

/// Gateways that are remembered; beyond that, those that are silent are forgotten.
const MOST: usize = 1_024;
/// Entries of which it is remembered what a gateway ended.
const REMEMBERED: usize = 256;

#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) lease: Duration,
    all: Mutex<HashMap<GatewayId, Listener>>,
    /// Tells that one of them has come further.
    moved: watch::Sender<()>,
}

#[derive(Debug)]
struct Listener {
    heard: Instant,
    marked: Seq,
    ended: VecDeque<Ended>,
}

/// How far an entry has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Gateways that have marked it.
    pub marked: usize,
    /// Gateways that may not have.
    pub behind: usize,
    /// Sockets that were closed because of it, as far as gateways have told.
    pub closed: u64,
    /// Calls that were ended because of it, as far as gateways have told.
    pub cancelled: u64,
    /// How long that took.
    pub took: Duration,
}

impl Listeners {
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, all: Mutex::default(), moved: watch::Sender::new(()) }
    }

    /// A gateway has marked all up to an entry, if it knows any, and ended some things.
    pub(super) fn heard(&self, gateway: GatewayId, marked: Option<Seq>, ended: &[Ended]) {
        let mut all = self.all();
        if all.len() >= MOST {
            all.retain(|_, listener| listener.heard.elapsed() < self.lease);
        }
        let listener = all.entry(gateway).or_insert_with(|| Listener {
            heard: Instant::now(),
            marked: Seq(0),
            ended: VecDeque::new(),
        });
        listener.heard = Instant::now();
        // One that knows nothing has begun anew.
        listener.marked = marked.unwrap_or_default();
        for ended in ended {
            if listener.ended.len() == REMEMBERED {
                listener.ended.pop_front();
            }
            listener.ended.push_back(*ended);
        }
        drop(all);
        self.moved.send_replace(());
    }

    pub(super) async fn receipt(&self, seq: Seq, at_most: Duration) -> Receipt {
        let (begun, mut moved) = (Instant::now(), self.moved.subscribe());
        loop {
            let receipt = self.count(seq, begun);
            let late = timeout_at(begun + at_most, moved.changed());
            if receipt.behind == 0 || late.await.is_err() {
                return self.count(seq, begun);
            }
        }
    }

    /// How many were heard within the lease.
    pub(super) fn alive(&self) -> usize {
        self.all().values().filter(|listener| listener.heard.elapsed() < self.lease).count()
    }

    fn count(&self, seq: Seq, begun: Instant) -> Receipt {
        let mut receipt =
            Receipt { marked: 0, behind: 0, closed: 0, cancelled: 0, took: begun.elapsed() };
        for listener in self.all().values() {
            let is_alive = listener.heard.elapsed() < self.lease;
            receipt.marked += usize::from(is_alive && listener.marked >= seq);
            receipt.behind += usize::from(is_alive && listener.marked < seq);
            for ended in listener.ended.iter().filter(|ended| ended.seq == seq) {
                receipt.closed += ended.closed;
                receipt.cancelled += ended.cancelled;
            }
        }
        receipt
    }

    fn all(&self) -> MutexGuard<'_, HashMap<GatewayId, Listener>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use uuid::Uuid;

    use super::*;

    const LEASE: Duration = Duration::from_secs(5);
    const PATIENCE: Duration = Duration::from_millis(250);

    fn gateway(number: u128) -> GatewayId {
        GatewayId(Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn a_receipt_waits_for_the_last_gateway_and_no_longer() {
        let listeners = Listeners::new(LEASE);
        let alone = listeners.receipt(Seq(9), PATIENCE).await;
        assert_eq!((alone.marked, alone.behind, alone.took), (0, 0, Duration::ZERO));

        listeners.heard(gateway(1), Some(Seq(9)), &[]);
        listeners.heard(gateway(2), Some(Seq(8)), &[]);
        let late = listeners.receipt(Seq(9), PATIENCE).await;
        assert_eq!((late.marked, late.behind, late.took), (1, 1, PATIENCE));

        let ended = Ended { seq: Seq(9), closed: 2, cancelled: 3 };
        let wait = listeners.receipt(Seq(9), PATIENCE);
        let tell = async {
            advance(Duration::from_millis(3)).await;
            listeners.heard(gateway(2), Some(Seq(9)), &[ended]);
        };
        let (receipt, ()) = tokio::join!(wait, tell);
        assert_eq!((receipt.marked, receipt.behind), (2, 0));
        assert_eq!((receipt.closed, receipt.cancelled), (2, 3));
        assert_eq!(receipt.took, Duration::from_millis(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_is_silent_for_the_lease_does_not_count() {
        let listeners = Listeners::new(LEASE);
        listeners.heard(gateway(1), Some(Seq(8)), &[]);
        advance(LEASE.checked_sub(Duration::from_millis(100)).unwrap()).await;
        let frozen = listeners.receipt(Seq(9), LEASE).await;
        assert_eq!((frozen.marked, frozen.behind, listeners.alive()), (0, 0, 0));
        // One that begins anew knows nothing of before.
        listeners.heard(gateway(1), None, &[]);
        assert_eq!(listeners.receipt(Seq(1), PATIENCE).await.behind, 1);
        assert_eq!(listeners.alive(), 1);
    }
}
