//! How nodes that write to one journal take turns, and how often they read it.
//!
//! Whoever has won begins the next entry first, and would win again: so where others write too, a
//! winner stands back for a random time, in which those who came second decide again. They
//! decide on fewer operations at once, to be done before the winner comes back. Whoever wrote waits
//! for the gateways of all nodes, so where somebody writes everybody reads more often.

use std::time::Duration;

use tokio::time::Instant;

use super::MAX_CHANGES;

/// In times of a round: a winner stands back for no longer.
const WINNER: u32 = 2;
/// So many changes are in an entry even of a node that always came second.
const FEWEST: usize = 32;
/// Between two reads of a journal that others write to,
const TAIL: Duration = Duration::from_millis(100);
/// and where somebody does.
const TAIL_OF_RIVAL: Duration = Duration::from_millis(20);
/// For so long after the last entry of another node it is taken to write on.
const RIVAL: Duration = Duration::from_secs(1);

/// How it went lately.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    rival: Option<Instant>,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { most: MAX_CHANGES, rival: None }
    }

    /// How many changes the next entry may have.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// There was an entry of another node.
    pub(super) fn met_rival(&mut self) {
        self.rival = Some(Instant::now());
    }

    /// How long what others write may go unread.
    pub(super) fn tail(&self) -> Duration {
        if self.has_rival() { TAIL_OF_RIVAL } else { TAIL }
    }

    fn has_rival(&self) -> bool {
        self.rival.is_some_and(|met| met.elapsed() < RIVAL)
    }

    /// Ours was first. Gives how long to leave the next place to others.
    pub(super) fn won(&mut self, round: Duration) -> Duration {
        self.most = (self.most * 2).min(MAX_CHANGES);
        if self.has_rival() { (round * WINNER).mul_f64(rand::random()) } else { Duration::ZERO }
    }

    /// Another node was first. Gives how long to wait, for not all who lost to meet again.
    pub(super) fn lost(&mut self, commit: Duration) -> Duration {
        self.most = (self.most / 2).max(FEWEST);
        self.met_rival();
        commit.mul_f64(rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_winner_stands_back_as_long_as_there_is_a_rival() {
        let (mut pace, round) = (Pace::new(), Duration::from_millis(10));
        assert_eq!(pace.won(round), Duration::ZERO);
        assert!(pace.lost(round) <= round);
        let backs: Vec<_> = (0..20).map(|_| pace.won(round)).collect();
        assert!(backs.iter().all(|back| *back <= 2 * round), "{backs:?}");
        assert!(backs.iter().any(|back| *back > Duration::ZERO), "{backs:?}");
        tokio::time::advance(RIVAL).await;
        assert_eq!(pace.won(round), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_journal_is_read_more_often_while_others_write() {
        let mut pace = Pace::new();
        assert_eq!(pace.tail(), TAIL);
        pace.met_rival();
        assert_eq!(pace.tail(), TAIL_OF_RIVAL);
        tokio::time::advance(RIVAL).await;
        assert_eq!(pace.tail(), TAIL);
    }

    #[tokio::test(start_paused = true)]
    async fn entries_shrink_with_every_loss_and_grow_again() {
        let mut pace = Pace::new();
        let mut most = Vec::new();
        for _ in 0..5 {
            most.push(pace.most());
            pace.lost(Duration::ZERO);
        }
        assert_eq!(most, [256, 128, 64, 32, 32]);
        pace.won(Duration::ZERO);
        assert_eq!(pace.most(), 64);
    }
}
