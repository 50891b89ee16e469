//! The times at which a session must act, on one timer.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// However often its credentials are refused, a new socket has no longer than this.
const LONGEST_AUTH: Duration = Duration::from_mins(1);

/// The times of one session. `None`: nothing is due.
pub(super) struct Timers {
    accepted: Instant,
    /// An identity must be there by then.
    pub(super) auth: Option<Instant>,
    /// Most of the credential's life is over then.
    pub(super) life_ending: Option<Instant>,
    /// All of it.
    pub(super) expired: Option<Instant>,
    /// The time after it too.
    pub(super) grace_over: Option<Instant>,
    /// Running calls may go on until then.
    pub(super) drain_over: Option<Instant>,
    /// The client is pinged then, or must have been heard.
    pub(super) beat: Option<Instant>,
    /// The client must have read something by then; and how much it had when that was set.
    pub(super) stalled: Option<(Instant, u64)>,
    /// The time of a call that waits for its turn is over then.
    pub(super) overdue: Option<Instant>,
    /// The feed must have been heard again by then.
    pub(super) lease: Option<Instant>,
    /// It has been silent for too long then.
    pub(super) held_over: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timers {
    /// The timers of a socket that was accepted now.
    pub(super) fn new(auth_deadline: Duration) -> Self {
        let accepted = Instant::now();
        Self {
            accepted,
            auth: Some(accepted + auth_deadline),
            life_ending: None,
            expired: None,
            grace_over: None,
            drain_over: None,
            beat: None,
            stalled: None,
            overdue: None,
            lease: None,
            held_over: None,
            sleep: None,
        }
    }

    /// Gives a client that never was anybody another deadline, within the longest.
    pub(super) fn extend_first_auth(&mut self, deadline: Duration) {
        self.auth = Some((Instant::now() + deadline).min(self.accepted + LONGEST_AUTH));
    }

    /// Gives a client that was somebody this long to be somebody again.
    pub(super) fn auth_within(&mut self, deadline: Duration) {
        self.auth = Some(Instant::now() + deadline);
    }

    /// Sets the times of a new identity that lives this long.
    pub(super) fn bind(&mut self, life: Option<Duration>, ending: Duration, leeway: Duration) {
        let now = Instant::now();
        self.auth = None;
        self.grace_over = None;
        self.life_ending = life.map(|_| now + ending);
        self.expired = life.map(|life| now + life + leeway);
    }

    /// Begins the drain.
    pub(super) fn drain_within(&mut self, drain: Duration) {
        self.drain_over = Some(Instant::now() + drain);
    }

    /// Waits until something is due; for ever if nothing is.
    pub(super) async fn elapsed(&mut self) {
        let Some(due) = self.next() else { return std::future::pending().await };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().await;
    }

    fn next(&self) -> Option<Instant> {
        let stalled = self.stalled.map(|(due, _)| due);
        let Self { auth, life_ending, expired, grace_over, drain_over, .. } = *self;
        let Self { beat, overdue, lease, held_over, .. } = *self;
        let life = [auth, life_ending, expired, grace_over, drain_over];
        let times = life.into_iter().chain([beat, overdue, lease, held_over, stalled]);
        times.flatten().min()
    }
}

/// Takes a time that has come.
pub(super) fn take_due(timer: &mut Option<Instant>, now: Instant) -> bool {
    timer.take_if(|due| *due <= now).is_some()
}
