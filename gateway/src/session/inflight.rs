//! The calls of one socket: which ids are in use, which run, which wait for their turn.
//!
//! The one place that decides whether an id is still owed its last frame: an id is taken out
//! here exactly once, by whoever writes that frame.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::task::AbortHandle;
use tokio::time::Instant;
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
    /// When their time is over.
    due: BTreeSet<(Instant, u64)>,
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
    turn: Turn,
    task: Option<Running>,
}

/// Whether a call runs yet.
enum Turn {
    Runs,
    /// Until its time is over, if that ever is.
    Waits(Option<Instant>),
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
            due: BTreeSet::new(),
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
        self.insert(number, id, frame, Turn::Runs);
    }

    /// Takes in a call that waits for its turn until it is due, and keeps what it will need.
    pub(super) fn wait(&mut self, id: &str, frame: Frame, due: Option<Instant>, call: W) {
        let number = self.number();
        self.insert(number, id, frame, Turn::Waits(due));
        self.due.extend(due.map(|due| (due, number)));
        self.waiting_bytes += frame.bytes;
        self.waiting.push_back((number, call));
    }

    fn insert(&mut self, number: u64, id: &str, frame: Frame, turn: Turn) {
        let id = Arc::<str>::from(id);
        self.numbers.insert(id.clone(), number);
        self.calls.insert(number, InflightCall { id, frame, turn, task: None });
    }

    /// The next call whose turn it is.
    pub(super) fn next_waiting(&mut self) -> Option<(u64, W)> {
        if self.running >= self.room.running {
            return None;
        }
        let (number, call) = self.waiting.pop_front()?;
        if let Some(entry) = self.calls.get_mut(&number) {
            if let Turn::Waits(Some(due)) = std::mem::replace(&mut entry.turn, Turn::Runs) {
                self.due.remove(&(due, number));
            }
            self.waiting_bytes -= entry.frame.bytes;
            self.running += 1;
        }
        Some((number, call))
    }

    /// When the time of the first call is over that waits for its turn.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// That call, if its time is over.
    pub(super) fn overdue(&self, now: Instant) -> Option<u64> {
        self.due.first().filter(|(due, _)| *due <= now).map(|(_, number)| *number)
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
        let InflightCall { id, frame, turn, task } = self.calls.remove(&number)?;
        self.numbers.remove(&id);
        let waiting = match turn {
            Turn::Runs => {
                self.running -= 1;
                None
            }
            Turn::Waits(due) => {
                self.waiting_bytes -= frame.bytes;
                if let Some(due) = due {
                    self.due.remove(&(due, number));
                }
                // Numbers go up along the queue.
                let at = self.waiting.binary_search_by_key(&number, |(waiting, _)| *waiting).ok();
                at.and_then(|at| self.waiting.remove(at))
            }
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

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

#[cfg(test)]
mod tests;
