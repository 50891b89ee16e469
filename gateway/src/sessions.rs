//! Who is here, and under which identity: sockets, relays and HTTP requests under way, so that what
//! the feed tells reaches everybody whom it concerns.
//!
//! In: identities that were bound, and news. Out: a [`Told`] for each holder that is concerned, which
//! wakes its task; and what IAM asks about the sockets that are here.
//! When [`Sessions::tell`] has returned, nobody whom the news concern does anything more under what
//! it was before: every holder has seen what it was told, or will before it does anything else.

mod gate;
mod silence;
mod told;
mod find;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tollgate_proto::iam::{Client, Ended, Identity, News};
use tollgate_proto::ids::{SocketId, UserId};

use crate::iam::Questions;
use crate::iam::cache::Known;
pub(crate) use gate::Gate;
pub(crate) use silence::{LONGEST_HOLD, Silence, TooLong};
pub(crate) use told::{Told, Word};
use told::{concerned, users_of};

/// How long the feed waits for those whom it told something to have acted on it, so that what
/// they ended is counted with the news: that they do nothing else is certain before.
const SETTLE: Duration = Duration::from_millis(20);
/// Entries whose consequences wait to be told.
const MOST_COUNTED: usize = 1_024;

/// Everybody who is here.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    holders: Mutex<HashMap<UserId, Vec<Holder>>>,
    ended: Mutex<Vec<Ended>>,
}

#[derive(Debug, Clone)]
struct Holder {
    identity: Arc<Identity>,
    held: Held,
    note: Arc<Note>,
}

/// What holds an identity.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    /// By a socket, which can be listed and closed. When it was opened its id says.
    BySocket {
        /// What `auth-ok` calls `session`.
        id: SocketId,
        /// Its peer.
        client: Arc<Client>,
    },
    /// By a request.
    ByRequest,
}

/// Where one holder finds what it was told.
#[derive(Debug)]
struct Note {
    gate: Arc<Gate>,
    /// That there is something, to be seen at a glance.
    is_told: AtomicBool,
    told: Mutex<Option<Told>>,
    waker: AtomicWaker,
}

impl Note {
    fn tell(&self, told: Told) {
        let mut known = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two that are as bad, the one that is counted.
        let weight = |told: &Told| (told.word, told.seq.is_some());
        if known.as_ref().is_none_or(|known| weight(known) < weight(&told)) {
            *known = Some(told);
        }
        self.is_told.store(true, Ordering::SeqCst);
        drop(known);
        self.waker.wake();
    }
}

/// That an identity is held here, until it is dropped.
#[derive(Debug)]
pub(crate) struct Standing {
    sessions: Arc<Sessions>,
    holder: Holder,
}

impl Sessions {
    /// An identity is held from here on, by a task behind this gate.
    pub(crate) fn enter(
        self: &Arc<Self>,
        held: Held,
        known: &Known,
        gate: &Arc<Gate>,
        questions: &Questions,
    ) -> Standing {
        let note = Note {
            gate: Arc::clone(gate),
            is_told: AtomicBool::new(false),
            told: Mutex::new(None),
            waker: AtomicWaker::new(),
        };
        let (identity, note) = (Arc::clone(&known.identity), Arc::new(note));
        let holder = Holder { identity, held, note };
        let mut holders = self.holders();
        for user in users_of(&known.identity.actor) {
            holders.entry(user).or_default().push(holder.clone());
        }
        drop(holders);
        // What moved before it was found here was told to nobody.
        if !questions.still_holds(known) {
            holder.note.tell(Told { word: Word::Suspect, seq: None, _settles: None });
        }
        Standing { sessions: Arc::clone(self), holder }
    }

    /// Tells everybody whom the news concern. They were heard before: nothing that was kept
    /// is used any more.
    pub(crate) async fn tell(&self, news: &News) {
        let (settles, mut settled) = mpsc::channel(1);
        for gate in self.mark(news, &settles) {
            gate.passed().await;
        }
        drop(settles);
        // Nothing is ever sent: it ends when all have dropped what they were told.
        let _ = timeout(SETTLE, settled.recv()).await;
    }

    /// Leaves everybody what it is told, and gives their gates.
    fn mark(&self, news: &News, settles: &mpsc::Sender<Infallible>) -> Vec<Arc<Gate>> {
        let mut gates = Vec::new();
        let mut tell = |holder: &Holder, word, seq| {
            let seq = Some(seq);
            holder.note.tell(Told { word, seq, _settles: Some(settles.clone()) });
            gates.push(Arc::clone(&holder.note.gate));
        };
        let holders = self.holders();
        if news.resync {
            for holder in holders.values().flatten() {
                tell(holder, Word::Suspect, news.head.seq);
            }
        }
        for event in &news.events {
            for (holder, word) in concerned(&holders, &event.moved) {
                tell(holder, word, event.seq);
            }
        }
        gates
    }

    /// Wakes everybody: the feed is trusted again.
    pub(crate) fn wake(&self) {
        for holder in self.holders().values().flatten() {
            holder.note.waker.wake();
        }
    }

    /// Counts what was ended because of an entry.
    pub(crate) fn count(&self, told: &Told, closed: u64, cancelled: u64) {
        let Some(seq) = told.seq else { return };
        let mut ended = self.ended();
        let is_full = ended.len() >= MOST_COUNTED;
        match ended.iter_mut().find(|ended| ended.seq == seq) {
            Some(known) => {
                known.closed += closed;
                known.cancelled += cancelled;
            }
            None if is_full => {}
            None => ended.push(Ended { seq, closed, cancelled }),
        }
    }

    /// What was counted and not yet taken.
    pub(crate) fn take_counts(&self) -> Vec<Ended> {
        std::mem::take(&mut *self.ended())
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<UserId, Vec<Holder>>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Whether a socket holds it.
    pub(crate) fn is_of_socket(&self) -> bool {
        matches!(self.holder.held, Held::BySocket { .. })
    }

    /// Whether there is something that the holder was told and has not seen.
    pub(crate) fn is_told(&self) -> bool {
        self.holder.note.is_told.load(Ordering::SeqCst)
    }

    /// Ready with what the holder was told. Whoever polls is woken by the next word, and by the
    /// return of the feed.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Told> {
        let note = &self.holder.note;
        note.waker.register(cx.waker());
        if !note.is_told.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        note.is_told.store(false, Ordering::SeqCst);
        match note.told.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(told) => Poll::Ready(told),
            None => Poll::Pending,
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let mut holders = self.sessions.holders();
        for user in users_of(&self.holder.identity.actor) {
            let Some(of_user) = holders.get_mut(&user) else { continue };
            let is_this = |holder: &Holder| Arc::ptr_eq(&holder.note, &self.holder.note);
            if let Some(at) = of_user.iter().position(is_this) {
                of_user.swap_remove(at);
            }
            if of_user.is_empty() {
                holders.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tollgate_proto::iam::Moved;
    use tollgate_proto::ids::Seq;

    use super::*;
    use crate::iam::table::{TableIam, identity, known, questions, tell};

    #[tokio::test(start_paused = true)]
    async fn what_is_counted_is_not_lost_behind_what_is_not() {
        let note = Note {
            gate: Arc::default(),
            is_told: AtomicBool::new(false),
            told: Mutex::new(None),
            waker: AtomicWaker::new(),
        };
        for seq in [None, Some(Seq(7)), None, Some(Seq(8))] {
            note.tell(Told { word: Word::Suspect, seq, _settles: None });
        }
        let told = note.told.lock().unwrap().take();
        assert_eq!(told.unwrap().seq, Some(Seq(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_counted_of_what_moved_before_a_holder_came() {
        let questions = questions(Arc::new(TableIam::default()), Duration::from_secs(5));
        let ann = known(identity("ann"));
        tell(&questions, 1, Moved::Deployment {});
        let sessions = Arc::new(Sessions::default());
        let standing = sessions.enter(Held::ByRequest, &ann, &Arc::default(), &questions);
        let told = poll_fn(|cx| standing.poll(cx)).await;
        assert_eq!(told.word, Word::Suspect);
        sessions.count(&told, 0, 1);
        assert_eq!(sessions.take_counts(), []);
    }
}
