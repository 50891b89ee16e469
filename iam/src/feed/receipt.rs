//! How far an entry has come among the gateways that were alive when it was made: others know
//! nothing of before.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollgate_proto::ids::{GatewayId, Seq};

use super::listeners::Listeners;

/// How long gateways that have marked an entry may take to tell what they ended because of it.
const SETTLING: Duration = Duration::from_secs(1);

/// How far an entry has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Gateways that have marked it.
    pub marked: usize,
    /// Gateways that may not have.
    pub behind: usize,
    /// Sockets that were closed because of it, as far as gateways have told.
    pub closed: u64,
    /// Calls that were ended because of it, as far as gateways have told.
    pub cancelled: u64,
    /// How long it took until it was marked.
    pub took: Duration,
}

impl Receipt {
    /// Of these gateways and those.
    #[must_use]
    pub fn and(self, others: &Self) -> Self {
        Self {
            marked: self.marked + others.marked,
            behind: self.behind + others.behind,
            closed: self.closed + others.closed,
            cancelled: self.cancelled + others.cancelled,
            took: self.took.max(others.took),
        }
    }
}

/// Whoever waits for receipts.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// Whoever waits for one to its end holds this too.
    last: Arc<()>,
}

impl Receipts {
    /// Whether somebody waits for gateways to tell what they ended.
    pub(super) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.last) > 1
    }

    /// Waits until all have marked an entry, or trust nothing any more; and until they have told
    /// what they ended because of it: that is so when none has more to tell than at its poll before.
    pub(super) async fn last(&self, listeners: &Listeners, seq: Seq) -> Receipt {
        let (_waiting, alive) = (Arc::clone(&self.last), listeners.alive());
        let marked = among(listeners, &alive, seq, listeners.lease()).await;
        let (mut told, late) = (marked.clone(), Instant::now() + SETTLING);
        loop {
            let before = polls(listeners, &alive, seq);
            let is_next = || polls(listeners, &alive, seq).iter().zip(&before).all(|(a, b)| a > b);
            let in_time = listeners.until(late, is_next).await;
            let next = Receipt { took: marked.took, ..count(listeners, &alive, seq) };
            if !in_time || next == told {
                return next;
            }
            told = next;
        }
    }
}

/// Waits until all have marked an entry, at most this long.
pub(super) async fn first(listeners: &Listeners, seq: Seq, at_most: Duration) -> Receipt {
    among(listeners, &listeners.alive(), seq, at_most).await
}

async fn among(
    listeners: &Listeners,
    gateways: &[GatewayId],
    seq: Seq,
    at_most: Duration,
) -> Receipt {
    let begun = Instant::now();
    let is_marked = || count(listeners, gateways, seq).behind == 0;
    listeners.until(begun + at_most, is_marked).await;
    Receipt { took: begun.elapsed(), ..count(listeners, gateways, seq) }
}

fn count(listeners: &Listeners, gateways: &[GatewayId], seq: Seq) -> Receipt {
    let (mut marked, mut closed, mut cancelled) = (0, 0, 0);
    listeners.look(gateways, |_, listener| {
        marked += usize::from(listener.marked >= seq);
        let (sockets, calls) = listener.ended(seq);
        closed += sockets;
        cancelled += calls;
    });
    let behind = gateways.len() - marked;
    Receipt { marked, behind, closed, cancelled, took: Duration::ZERO }
}

/// How often each has polled that has marked the entry.
fn polls(listeners: &Listeners, gateways: &[GatewayId], seq: Seq) -> Vec<u64> {
    let mut polls = Vec::new();
    listeners.look(gateways, |_, listener| {
        if listener.marked >= seq {
            polls.push(listener.polls);
        }
    });
    polls
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use tollgate_proto::iam::Ended;
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
        let alone = first(&listeners, Seq(9), PATIENCE).await;
        assert_eq!((alone.marked, alone.behind, alone.took), (0, 0, Duration::ZERO));

        listeners.heard(gateway(1), Some(Seq(9)), &[]);
        listeners.heard(gateway(2), Some(Seq(8)), &[]);
        let late = first(&listeners, Seq(9), PATIENCE).await;
        assert_eq!((late.marked, late.behind, late.took), (1, 1, PATIENCE));

        let ended = Ended { seq: Seq(9), closed: 2, cancelled: 3 };
        let wait = first(&listeners, Seq(9), PATIENCE);
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
        let frozen = first(&listeners, Seq(9), LEASE).await;
        assert_eq!((frozen.marked, frozen.behind, listeners.alive().len()), (0, 1, 0));
        // One that begins anew knows nothing of before.
        listeners.heard(gateway(1), None, &[]);
        assert_eq!(first(&listeners, Seq(1), PATIENCE).await.behind, 1);
        assert_eq!(listeners.alive().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_receipt_has_what_gateways_tell_after_they_have_marked() {
        let (listeners, receipts) = (Listeners::new(LEASE), Receipts::default());
        let alone = receipts.last(&listeners, Seq(9)).await;
        assert_eq!((alone.marked, alone.behind, alone.took), (0, 0, Duration::ZERO));

        listeners.heard(gateway(1), Some(Seq(8)), &[]);
        let step = Duration::from_millis(2);
        let ended = Ended { seq: Seq(9), closed: 2, cancelled: 3 };
        let tell = async {
            for told in [&[][..], &[ended], &[Ended { seq: Seq(8), ..ended }]] {
                advance(step).await;
                assert!(receipts.is_awaited());
                listeners.heard(gateway(1), Some(Seq(9)), told);
                tokio::task::yield_now().await;
            }
        };
        let (receipt, ()) = tokio::join!(receipts.last(&listeners, Seq(9)), tell);
        // The third poll had no more to tell of it, so no fourth was waited for.
        assert_eq!((receipt.closed, receipt.cancelled), (2, 3));
        assert_eq!((receipt.marked, receipt.behind, receipt.took), (1, 0, step));
        assert!(!receipts.is_awaited());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_receipt_waits_for_the_silent_as_long_as_they_trust_anything() {
        let (listeners, receipts) = (Listeners::new(LEASE), Receipts::default());
        for number in [1, 2] {
            listeners.heard(gateway(number), Some(Seq(8)), &[]);
        }
        let tell = async { listeners.heard(gateway(2), Some(Seq(9)), &[]) };
        let (receipt, ()) = tokio::join!(receipts.last(&listeners, Seq(9)), tell);
        assert_eq!((receipt.marked, receipt.behind, receipt.took), (1, 1, LEASE));
    }
}
