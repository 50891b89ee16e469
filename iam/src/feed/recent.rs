//! The newest events, in memory.
//!
//! Bounded: a gateway that is further behind than this asks about everybody whom it knows.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tollgate_proto::iam::Event;
use tollgate_proto::ids::Seq;

/// Events that are kept; older ones are forgotten, entry by entry.
const MOST: usize = 65_536;

#[derive(Debug)]
pub(super) struct Recent {
    newest: watch::Sender<Seq>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Every event behind this entry is here.
    after: Seq,
    newest: Seq,
    events: VecDeque<Event>,
}

impl Recent {
    pub(super) fn new(after: Seq) -> Self {
        let kept = Kept { after, newest: after, events: VecDeque::new() };
        Self { newest: watch::Sender::new(after), kept: Mutex::new(kept) }
    }

    pub(super) fn push(&self, seq: Seq, events: Vec<Event>) {
        let mut kept = self.kept();
        kept.newest = seq;
        kept.events.extend(events);
        while kept.events.len() > MOST
            && let Some(oldest) = kept.events.pop_front()
        {
            kept.after = oldest.seq;
        }
        // An entry is forgotten as a whole.
        while kept.events.front().is_some_and(|event| event.seq <= kept.after) {
            kept.events.pop_front();
        }
        drop(kept);
        self.newest.send_replace(seq);
    }

    /// Waits for an entry behind this one.
    pub(super) async fn beyond(&self, after: Seq) {
        // The sender is our own: it is never gone.
        let _ = self.newest.subscribe().wait_for(|newest| *newest > after).await;
    }

    /// The newest entry, and the events behind `after`; none, if some of them are not known.
    pub(super) fn since(&self, after: Option<Seq>) -> (Seq, Option<Vec<Event>>) {
        let kept = self.kept();
        let known = after.filter(|after| (kept.after..=kept.newest).contains(after));
        let told = known.map(|after| {
            let first = kept.events.partition_point(|event| event.seq <= after);
            kept.events.range(first..).cloned().collect()
        });
        (kept.newest, told)
    }

    /// Tells the newest entry, from now on.
    pub(super) fn published(&self) -> watch::Receiver<Seq> {
        self.newest.subscribe()
    }

    /// The newest entry.
    pub(super) fn newest(&self) -> Seq {
        self.kept().newest
    }

    /// Whether there are events of entries behind `after`, up to `last`.
    pub(super) fn tells_between(&self, after: Seq, last: Seq) -> bool {
        let kept = self.kept();
        let first = kept.events.partition_point(|event| event.seq <= after);
        kept.events.get(first).is_some_and(|event| event.seq <= last)
    }

    pub(super) fn tells(&self, seq: Seq) -> bool {
        self.kept().events.binary_search_by_key(&seq, |event| event.seq).is_ok()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_proto::iam::Moved;

    use super::*;

    fn event(seq: u64) -> Event {
        Event { seq: Seq(seq), moved: Moved::Deployment {} }
    }

    #[test]
    fn what_is_behind_a_place_is_told_whole_or_not_at_all() {
        let recent = Recent::new(Seq(7));
        let check = |after: Option<u64>, head: u64, told: Option<&[u64]>| {
            let (newest, events) = recent.since(after.map(Seq));
            let events: Option<Vec<u64>> =
                events.map(|events| events.iter().map(|event| event.seq.0).collect());
            assert_eq!((newest, events.as_deref()), (Seq(head), told), "after {after:?}");
        };
        check(Some(7), 7, Some(&[]));
        recent.push(Seq(8), vec![]);
        recent.push(Seq(9), vec![event(9), event(9)]);
        recent.push(Seq(10), vec![event(10)]);
        check(Some(7), 10, Some(&[9, 9, 10]));
        check(Some(9), 10, Some(&[10]));
        check(Some(10), 10, Some(&[]));
        check(Some(6), 10, None);
        check(Some(11), 10, None);
        check(None, 10, None);
        assert_eq!([8, 9, 10].map(|seq| recent.tells(Seq(seq))), [false, true, true]);
    }

    #[test]
    fn old_events_are_forgotten_by_the_entry() {
        let recent = Recent::new(Seq(0));
        recent.push(Seq(1), vec![event(1); 2]);
        recent.push(Seq(2), vec![event(2); MOST - 1]);
        assert_eq!(recent.since(Some(Seq(0))).1, None);
        assert_eq!(recent.since(Some(Seq(1))).1.unwrap().len(), MOST - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_hears_at_once() {
        let recent = Recent::new(Seq(1));
        recent.beyond(Seq(0)).await;
        let wait = async {
            recent.beyond(Seq(1)).await;
            recent.since(Some(Seq(1))).1.unwrap().len()
        };
        let (heard, ()) = tokio::join!(wait, async { recent.push(Seq(2), vec![event(2)]) });
        assert_eq!(heard, 1);
    }
}
