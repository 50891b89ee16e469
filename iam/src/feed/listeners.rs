//! The gateways that poll: how far each has come, and what it ended because of what it heard.
//!
//! A gateway that was not heard for the lease does not count: it trusts nothing any more.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tollgate_proto::iam::Ended;
use tollgate_proto::ids::{GatewayId, Seq};

use crate::journal::Standing;
use crate::metrics::Authority;

/// Gateways that are remembered; beyond that, those that are silent are forgotten.
const MOST: usize = 1_024;
/// Entries of which it is remembered what a gateway ended.
const REMEMBERED: usize = 256;
/// Of how many entries other nodes are shown what was ended.
const SHOWN: usize = 64;
/// Entries whose way to the gateways is measured at once; more are not.
const MEASURED: usize = 1_024;

#[derive(Debug)]
pub(super) struct Listeners {
    lease: Duration,
    known: Mutex<Known>,
    /// Tells that one of them was heard.
    moved: watch::Sender<()>,
    metrics: Arc<Authority>,
}

#[derive(Debug, Default)]
struct Known {
    gateways: HashMap<GatewayId, Listener>,
    /// Entries that some gateway may not have marked, in their order, and when each was durable.
    spreading: VecDeque<(Seq, Instant)>,
}

/// A gateway.
#[derive(Debug)]
pub(super) struct Listener {
    heard: Instant,
    /// How often it polled.
    pub(super) polls: u64,
    /// It has marked everything up to there.
    pub(super) marked: Seq,
    ended: VecDeque<Ended>,
}

impl Listener {
    /// What it ended because of an entry, as far as it has told: sockets and calls.
    pub(super) fn ended(&self, seq: Seq) -> (u64, u64) {
        let of_it = self.ended.iter().filter(|ended| ended.seq == seq);
        of_it.fold((0, 0), |(closed, cancelled), ended| {
            (closed + ended.closed, cancelled + ended.cancelled)
        })
    }
}

impl Listeners {
    pub(super) fn new(lease: Duration) -> Self {
        let (known, moved) = (Mutex::default(), watch::Sender::new(()));
        Self { lease, known, moved, metrics: Arc::default() }
    }

    /// What they measure.
    pub(super) fn metrics(&self) -> Arc<Authority> {
        Arc::clone(&self.metrics)
    }

    /// How long a gateway trusts what it heard.
    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    /// An entry is durable that tells something.
    pub(super) fn committed(&self, seq: Seq) {
        let mut known = self.known();
        let is_heard = known.alive(self.lease).next().is_some();
        if is_heard && known.spreading.len() < MEASURED {
            known.spreading.push_back((seq, Instant::now()));
        }
    }

    /// A gateway has marked all up to an entry, if it knows any, and ended some things.
    pub(super) fn heard(&self, gateway: GatewayId, marked: Option<Seq>, ended: &[Ended]) {
        let mut known = self.known();
        if known.gateways.len() >= MOST {
            known.gateways.retain(|_, listener| listener.heard.elapsed() < self.lease);
        }
        let listener = known.gateways.entry(gateway).or_insert_with(|| Listener {
            heard: Instant::now(),
            polls: 0,
            marked: Seq(0),
            ended: VecDeque::new(),
        });
        listener.heard = Instant::now();
        listener.polls += 1;
        // One that knows nothing has begun anew.
        listener.marked = marked.unwrap_or_default();
        for ended in ended {
            if listener.ended.len() == REMEMBERED {
                listener.ended.pop_front();
            }
            listener.ended.push_back(*ended);
        }
        while let Some(took) = known.next_arrived(self.lease) {
            self.metrics.revocation_seconds.observe(took);
        }
        drop(known);
        self.moved.send_replace(());
    }

    /// Those that were heard within the lease.
    pub(super) fn alive(&self) -> Vec<GatewayId> {
        self.known().alive(self.lease).map(|(gateway, _)| *gateway).collect()
    }

    /// Looks at some of them, as far as they are known.
    pub(super) fn look(&self, gateways: &[GatewayId], mut at: impl FnMut(GatewayId, &Listener)) {
        let known = self.known();
        for gateway in gateways {
            if let Some(listener) = known.gateways.get(gateway) {
                at(*gateway, listener);
            }
        }
    }

    /// Tells that one of them was heard.
    pub(super) fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// Where those who are alive stand; without any, at the `newest` entry.
    pub(super) fn standing(&self, newest: Seq) -> Standing {
        let (known, mut ended) = (self.known(), BTreeMap::<Seq, Ended>::new());
        for one in known.gateways.values().flat_map(|listener| &listener.ended) {
            let Ended { seq, closed, cancelled } = *one;
            let sum = ended.entry(seq).or_insert(Ended { seq, closed: 0, cancelled: 0 });
            sum.closed += closed;
            sum.cancelled += cancelled;
        }
        let marked: Vec<_> = known.alive(self.lease).map(|(_, listener)| listener.marked).collect();
        Standing {
            marked: marked.iter().copied().min().unwrap_or(newest),
            gateways: marked.len(),
            ended: ended.into_values().rev().take(SHOWN).rev().collect(),
        }
    }

    /// Waits until something is so, looking again whenever one of them was heard. False: it was
    /// not, in time.
    pub(super) async fn until(&self, late: Instant, mut is_so: impl FnMut() -> bool) -> bool {
        let mut moved = self.moved.subscribe();
        while !is_so() {
            if timeout_at(late, moved.changed()).await.is_err() {
                return is_so();
            }
        }
        true
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn alive(&self, lease: Duration) -> impl Iterator<Item = (&GatewayId, &Listener)> {
        self.gateways.iter().filter(move |(_, listener)| listener.heard.elapsed() < lease)
    }

    /// How long the oldest entry took whose way is over: all who are alive have marked it, or
    /// those who have not trust nothing of before.
    fn next_arrived(&mut self, lease: Duration) -> Option<Duration> {
        let (seq, durable) = *self.spreading.front()?;
        let took = durable.elapsed();
        let is_marked = self.alive(lease).all(|(_, listener)| seq <= listener.marked);
        if !is_marked && took < lease {
            return None;
        }
        self.spreading.pop_front();
        Some(took.min(lease))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use tollgate_runtime::metrics::Exposition;
    use uuid::Uuid;

    use super::*;

    const LEASE: Duration = Duration::from_secs(5);
    const STEP: Duration = Duration::from_millis(3);

    fn gateway(number: u128) -> GatewayId {
        GatewayId(Uuid::from_u128(number))
    }

    /// How many changes have arrived, and how long they took together.
    fn measured(listeners: &Listeners) -> (u64, Duration) {
        let exposition = Exposition::default();
        exposition.add(listeners.metrics());
        let text = exposition.text().unwrap();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().to_owned()
        };
        let seconds = value("tollgate_revocation_seconds_sum").parse().unwrap();
        let count = value("tollgate_revocation_seconds_count").parse().unwrap();
        (count, Duration::from_secs_f64(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_has_arrived_when_the_last_gateway_has_marked_it() {
        let listeners = Listeners::new(LEASE);
        listeners.committed(Seq(1));
        for number in [1, 2] {
            listeners.heard(gateway(number), Some(Seq(1)), &[]);
        }
        assert_eq!(measured(&listeners), (0, Duration::ZERO), "nobody was there to hear it");
        listeners.committed(Seq(2));
        listeners.committed(Seq(4));
        advance(STEP).await;
        listeners.heard(gateway(1), Some(Seq(4)), &[]);
        assert_eq!(measured(&listeners).0, 0);
        advance(STEP).await;
        listeners.heard(gateway(2), Some(Seq(3)), &[]);
        assert_eq!(measured(&listeners), (1, STEP * 2));
        advance(STEP).await;
        listeners.heard(gateway(2), Some(Seq(4)), &[]);
        assert_eq!(measured(&listeners), (2, STEP * 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_has_arrived_when_the_lease_is_over() {
        let listeners = Listeners::new(LEASE);
        listeners.heard(gateway(1), Some(Seq(1)), &[]);
        listeners.committed(Seq(2));
        advance(LEASE * 9).await;
        listeners.heard(gateway(2), None, &[]);
        assert_eq!(measured(&listeners), (1, LEASE));
    }
}
