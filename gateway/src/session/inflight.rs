//! The calls of one socket: which ids are in use, which run, which wait for their turn.
//!
//! The one place that decides whether an id is still owed its last frame: an id is taken out
//! here exactly once, by whoever writes that frame.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::task::AbortHandle;
use tollgate_proto::iam::Check;

use crate::call::Fate;
use crate::handles::Limits;
use crate::record::Record;

/// The calls of one socket.
pub(super) struct Inflight<W> {
    room: Room,
    next: u64,
    numbers: HashMap<Arc<str>, u64>,
    calls: HashMap<u64, InflightCall>,
    waiting: VecDeque<(u64, W)>,
    /// What the frames of those add up to.
    waiting_bytes: usize,
    running: usize,
}

/// How much a socket may have in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Calls that run at once.
    pub(super) running: usize,
    /// Calls that wait for their turn.
    pub(super) waiting: usize,
    /// What their frames add up to at most.
    pub(super) waiting_bytes: usize,
}

impl From<&Limits> for Room {
    fn from(limits: &Limits) -> Self {
        Self {
            running: limits.max_inflight,
            waiting: limits.max_waiting,
            waiting_bytes: limits.max_waiting_bytes,
        }
    }
}

/// A frame, as far as its call is told from others by it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) fingerprint: u64,
    pub(super) bytes: usize,
}

struct InflightCall {
    id: Arc<str>,
    /// To tell a repeated one from another under the same id.
    frame: Frame,
    running: bool,
    task: Option<Running>,
}

/// A call that runs in a task of its own.
pub(super) struct Running {
    /// How to stop it; none where it has nothing more to do.
    pub(super) abort: Option<AbortHandle>,
    /// What it was authorised for, if anything.
    pub(super) check: Option<Check>,
    /// Whether it can be taken back, if it may be a change.
    pub(super) fate: Option<Arc<Fate>>,
    pub(super) record: Record,
}

/// What is left of a call that has ended.
pub(super) struct Left<W> {
    /// To write the last frame under, once.
    pub(super) id: Arc<str>,
    pub(super) was: Was<W>,
}

/// How far it had come.
pub(super) enum Was<W> {
    /// Taken in, and nothing more.
    New,
    /// Begun.
    Running(Running),
    /// Before its turn.
    Waiting(W),
}

/// What becomes of a new call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may run.
    Run,
    /// It waits for its turn.
    Wait,
    /// The same frame is in flight: one answer serves both.
    Joined,
    /// The id is in flight with another frame.
    Conflict,
    /// Too many run and wait.
    Full,
}

impl<W> Inflight<W> {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            next: 0,
            numbers: HashMap::new(),
            calls: HashMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            running: 0,
        }
    }

    /// Sets how many calls may run and wait from now on; those that do already go on.
    pub(super) fn limit(&mut self, room: Room) {
        self.room = room;
    }

    /// What is to become of a call that has just come with a frame of so many bytes. The frame's
    /// fingerprint is asked for only if the id is in flight.
    pub(super) fn admit(
        &self,
        id: &str,
        bytes: usize,
        fingerprint: impl FnOnce() -> u64,
    ) -> Admission {
        if let Some(known) = self.numbers.get(id).and_then(|number| self.calls.get(number)) {
            let same = known.frame.fingerprint == fingerprint();
            return if same { Admission::Joined } else { Admission::Conflict };
        }
        if self.running < self.room.running && self.waiting.is_empty() {
            return Admission::Run;
        }
        let fits = bytes <= self.room.waiting_bytes.saturating_sub(self.waiting_bytes);
        if fits && self.waiting.len() < self.room.waiting {
            Admission::Wait
        } else {
            Admission::Full
        }
    }

    /// A number that no other call of the socket ever has.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Takes in a call that runs, under a number of its own.
    pub(super) fn run(&mut self, number: u64, id: &str, frame: Frame) {
        self.running += 1;
        self.insert(number, id, frame, true);
    }

    /// Takes in a call that waits for its turn, and keeps what it will need.
    pub(super) fn wait(&mut self, id: &str, frame: Frame, call: W) {
        let number = self.number();
        self.insert(number, id, frame, false);
        self.waiting_bytes += frame.bytes;
        self.waiting.push_back((number, call));
    }

    fn insert(&mut self, number: u64, id: &str, frame: Frame, running: bool) {
        let id = Arc::<str>::from(id);
        self.numbers.insert(id.clone(), number);
        self.calls.insert(number, InflightCall { id, frame, running, task: None });
    }

    /// The next call whose turn it is.
    pub(super) fn next_waiting(&mut self) -> Option<(u64, W)> {
        if self.running >= self.room.running {
            return None;
        }
        let (number, call) = self.waiting.pop_front()?;
        if let Some(entry) = self.calls.get_mut(&number) {
            entry.running = true;
            self.waiting_bytes -= entry.frame.bytes;
            self.running += 1;
        }
        Some((number, call))
    }

    /// Remembers the task of a running call.
    pub(super) fn running_as(&mut self, number: u64, task: Running) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.task = Some(task);
        }
    }

    /// What the running calls were authorised for.
    pub(super) fn running(&self) -> impl Iterator<Item = (u64, &Check)> {
        self.calls
            .iter()
            .filter_map(|(number, call)| Some((*number, call.task.as_ref()?.check.as_ref()?)))
    }

    /// The calls that wait for their turn.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &(u64, W)> {
        self.waiting.iter()
    }

    /// The same, to be changed.
    pub(super) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut (u64, W)> {
        self.waiting.iter_mut()
    }

    /// The ids that are owed a last frame, in the order in which they came.
    pub(super) fn ids(&self) -> Vec<(u64, Arc<str>)> {
        let mut ids: Vec<_> = self.calls.iter().map(|(n, call)| (*n, call.id.clone())).collect();
        ids.sort_unstable_by_key(|(number, _)| *number);
        ids
    }

    /// The id of a call that is still owed frames.
    pub(super) fn id(&self, number: u64) -> Option<Arc<str>> {
        self.calls.get(&number).map(|call| call.id.clone())
    }

    /// Ends a call: its id is free again, its task is stopped if it still runs.
    pub(super) fn end(&mut self, number: u64) -> Option<Left<W>> {
        let InflightCall { id, frame, running, task } = self.calls.remove(&number)?;
        self.numbers.remove(&id);
        let waiting = if running {
            self.running -= 1;
            None
        } else {
            self.waiting_bytes -= frame.bytes;
            let at = self.waiting.iter().position(|(waiting, _)| *waiting == number);
            at.and_then(|at| self.waiting.remove(at))
        };
        let was = match (task, waiting) {
            (Some(task), _) => {
                task.abort.as_ref().inspect(|abort| abort.abort());
                Was::Running(task)
            }
            (None, Some((_, call))) => Was::Waiting(call),
            (None, None) => Was::New,
        };
        Some(Left { id, was })
    }

    /// Ends a call before its time. A change that was sent stays: its own answer will end it.
    pub(super) fn take_back(&mut self, number: u64) -> Option<Left<W>> {
        let task = self.calls.get(&number)?.task.as_ref();
        let is_sent = task.and_then(|task| task.fate.as_ref()).is_some_and(|it| !it.take_back());
        if is_sent { None } else { self.end(number) }
    }

    /// The same for the call of an id, if it is in flight.
    pub(super) fn cancel(&mut self, id: &str) -> Option<Left<W>> {
        let number = *self.numbers.get(id)?;
        self.take_back(number)
    }

    /// The same for all calls, in the order in which they came.
    pub(super) fn take_back_all(&mut self) -> Vec<Left<W>> {
        self.ids().into_iter().filter_map(|(number, _)| self.take_back(number)).collect()
    }

    /// How many calls were taken in so far.
    pub(super) fn admitted(&self) -> u64 {
        self.next
    }

    /// How many run, and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.running, self.waiting.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(running: usize, waiting: usize) -> Room {
        Room { running, waiting, waiting_bytes: 30 }
    }

    /// Takes in what may run or wait, with its id to be kept; each frame has ten bytes.
    fn take<'a>(calls: &mut Inflight<&'a str>, id: &'a str, fingerprint: u64) -> Admission {
        let frame = Frame { fingerprint, bytes: 10 };
        let admission = calls.admit(id, frame.bytes, || fingerprint);
        match admission {
            Admission::Run => {
                let number = calls.number();
                calls.run(number, id, frame);
            }
            Admission::Wait => calls.wait(id, frame, id),
            Admission::Joined | Admission::Conflict | Admission::Full => {}
        }
        admission
    }

    #[test]
    fn repeated_ids_join_or_conflict() {
        let mut calls = Inflight::new(room(2, 2));
        assert_eq!(take(&mut calls, "1", 7), Admission::Run);
        assert_eq!(take(&mut calls, "1", 7), Admission::Joined);
        assert_eq!(take(&mut calls, "1", 8), Admission::Conflict);
        assert_eq!(take(&mut calls, "\"1\"", 8), Admission::Run);
        assert_eq!(calls.end(0).map(|left| left.id), Some("1".into()));
        assert_eq!(take(&mut calls, "1", 8), Admission::Run);
    }

    #[test]
    fn calls_beyond_the_limits_wait_in_order_and_then_are_refused() {
        let mut calls = Inflight::new(room(1, 2));
        assert_eq!(take(&mut calls, "a", 0), Admission::Run);
        for id in ["b", "c"] {
            assert_eq!(take(&mut calls, id, 0), Admission::Wait);
        }
        assert_eq!(take(&mut calls, "d", 0), Admission::Full);
        assert_eq!(calls.next_waiting(), None);
        calls.end(0);
        assert_eq!(calls.next_waiting(), Some((1, "b")));
        let cancelled = calls.cancel("c").unwrap();
        assert!(&*cancelled.id == "c" && matches!(cancelled.was, Was::Waiting("c")));
        assert!(calls.cancel("c").is_none());
        calls.end(1);
        assert_eq!(calls.next_waiting(), None);
        assert!(calls.is_empty());
    }

    #[test]
    fn calls_that_wait_do_not_hold_more_than_so_many_bytes() {
        let mut calls = Inflight::new(room(1, 9));
        assert_eq!(take(&mut calls, "a", 0), Admission::Run);
        for id in ["b", "c", "d"] {
            assert_eq!(take(&mut calls, id, 0), Admission::Wait);
        }
        assert_eq!(take(&mut calls, "e", 0), Admission::Full);
        calls.cancel("c");
        assert_eq!(take(&mut calls, "e", 0), Admission::Wait);
        assert_eq!(take(&mut calls, "f", 0), Admission::Full);
        calls.end(0);
        assert_eq!(calls.next_waiting(), Some((1, "b")));
        assert_eq!(take(&mut calls, "f", 0), Admission::Wait);
        assert_eq!(take(&mut calls, "g", 0), Admission::Full);
    }

    proptest! {
        #[test]
        fn each_admitted_id_is_given_out_once(
            steps in proptest::collection::vec((0..6_u8, 0..3_u8), 0..200),
        ) {
            let mut calls = Inflight::new(room(2, 2));
            let (mut admitted, mut ended) = (0_u32, 0_u32);
            for (id, what) in steps {
                let id = ["0", "1", "2", "3", "4", "5"][usize::from(id)];
                match what {
                    0 => match take(&mut calls, id, 0) {
                        Admission::Run | Admission::Wait => admitted += 1,
                        Admission::Joined | Admission::Conflict | Admission::Full => {}
                    },
                    1 => ended += u32::from(calls.cancel(id).is_some()),
                    _ => drop(calls.next_waiting()),
                }
                prop_assert!(calls.running <= 2 && calls.waiting.len() <= 2);
                prop_assert_eq!(calls.waiting_bytes, 10 * calls.waiting.len());
                prop_assert_eq!(calls.calls.len(), calls.running + calls.waiting.len());
            }
            ended += u32::try_from(calls.take_back_all().len()).unwrap();
            prop_assert_eq!(admitted, ended);
            prop_assert_eq!(calls.running, 0);
        }
    }
}
