//! Takes something away, and watches what the victim's socket and the admin's connection bring.
//!
//! In: a victim in calls, and an admin. Out: a [`Sighting`]. One thread reads both, and nothing but
//! the order of its reads decides what came before what:
//! a turn reads the socket until the system has nothing more, and looks for the answer **then**. If
//! it is not there, what was read had come before it. If it is there, what was read in this turn is
//! *beside* it: all of it had come before the answer was read, and at most as long after the answer
//! itself as the time since the last look, which is noted. What is read in later turns came *after*.
//! The thread sleeps only in `poll`, on both, so that time is what it takes to wake up and read.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::crowd::{Said, call};
use super::line::{IAM, Line};
use super::victim::Victim;

/// How often the victim calls from now on, whether or not answers come.
const PACE: Duration = Duration::from_millis(1);
/// How long before the admin asks, at least: not before a call was answered.
const LEAD: Duration = Duration::from_millis(25);
/// How long the answer may take: IAM gives up what it was asked after eight seconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long behind it the victim is watched. It is more than the close may take.
const MORE: Duration = Duration::from_secs(2);

/// What was seen of one victim.
pub(crate) struct Sighting {
    /// Who it was.
    pub(crate) victim: Victim,
    /// When the admin asked, by the clock that IAM writes.
    pub(crate) asked_at: SystemTime,
    /// The same.
    pub(crate) asked: Instant,
    /// When the answer was read.
    pub(crate) answered: Instant,
    /// Successes that had come when the answer had not.
    pub(crate) before: u64,
    /// Successes that were read in one turn with the answer.
    pub(crate) beside: u64,
    /// For how long the answer may have lain there, if there are any of these.
    pub(crate) beside_for: Duration,
    /// Successes after it.
    pub(crate) after: u64,
    /// When the last success was read.
    pub(crate) last: Instant,
    /// When the socket was closed.
    pub(crate) closed: Option<Instant>,
    /// With which code.
    pub(crate) code: Option<u16>,
}

/// The victim's end of its socket.
struct Watched {
    socket: WebSocket<TcpStream>,
    sent: u64,
    next: Instant,
    last: Option<Instant>,
    closed: Option<Instant>,
    code: Option<u16>,
    is_refused: bool,
    /// It may be written to.
    is_open: bool,
    /// Nothing comes from it any more.
    is_over: bool,
}

/// Lets the victim call, takes away, and watches until both are told.
pub(crate) fn take_away(
    victim: Victim,
    stream: TcpStream,
    admin: &mut Line,
) -> anyhow::Result<Sighting> {
    let begun = Instant::now();
    let operation = victim.kind.operation(&victim.id);
    let mut watched = Watched::new(stream, begun)?;
    let (mut asked, mut answered) = (None, None);
    let (mut before, mut beside, mut after) = (0, 0, 0);
    let (mut looked, mut beside_for) = (begun, Duration::ZERO);
    while answered.is_none() || !watched.is_over {
        let now = Instant::now();
        if now > answered.map_or(begun + LEAD + PATIENCE, |at| at + MORE) {
            break;
        }
        watched.call(now);
        if asked.is_none() && watched.last.is_some() && now >= begun + LEAD {
            ensure!(!watched.is_refused, "a call of a victim failed too early");
            asked = Some((Instant::now(), wall_clock()));
            admin.ask(IAM, &operation)?;
        }
        let successes = watched.read()?;
        // The look comes behind the read; see the head.
        if answered.is_some() {
            after += successes;
        } else {
            let has_come = asked.is_some() && admin.answer()?.is_some();
            let now = Instant::now();
            if has_come {
                answered = Some(now);
                beside = successes;
                if beside > 0 {
                    beside_for = now - looked;
                }
            } else {
                before += successes;
            }
            looked = now;
        }
        watched.wait(admin)?;
    }
    let (asked, asked_at) = asked.context("the socket of a victim was closed too early")?;
    let answered = answered.with_context(|| format!("no answer to {operation}"))?;
    let last = watched.last.context("no call of a victim was answered")?;
    let Watched { closed, code, .. } = watched;
    Ok(Sighting {
        victim,
        asked_at,
        asked,
        answered,
        before,
        beside,
        beside_for,
        after,
        last,
        closed,
        code,
    })
}

#[expect(clippy::disallowed_methods, reason = "IAM writes the times of this clock")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

impl Watched {
    fn new(stream: TcpStream, now: Instant) -> anyhow::Result<Self> {
        stream.set_nonblocking(true)?;
        let socket = WebSocket::from_raw_socket(stream, Role::Client, None);
        Ok(Self {
            socket,
            sent: 0,
            next: now,
            last: None,
            closed: None,
            code: None,
            is_refused: false,
            is_open: true,
            is_over: false,
        })
    }

    /// Sends what is due.
    fn call(&mut self, now: Instant) {
        while self.is_open && self.next <= now {
            self.next += PACE;
            self.sent += 1;
            // What has become of the socket is seen by whoever reads it.
            self.is_open = self.socket.send(Message::text(call(self.sent))).is_ok();
        }
    }

    /// Reads all that has come. Gives how many successes there were.
    fn read(&mut self) -> anyhow::Result<u64> {
        let mut successes = 0;
        while !self.is_over {
            match self.socket.read() {
                Ok(Message::Text(text)) => match Said::by(&text)? {
                    Said::Success => {
                        successes += 1;
                        self.last = Some(Instant::now());
                    }
                    Said::Refusal => self.is_refused = true,
                    Said::Word => {}
                },
                Ok(Message::Close(frame)) => {
                    self.closed.get_or_insert_with(Instant::now);
                    self.code = frame.map(|frame| frame.code.into());
                    self.is_open = false;
                }
                Ok(other) => bail!("a victim was sent {other:?}"),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(Error::Io(_) | Error::ConnectionClosed | Error::Protocol(_)) => {
                    self.closed.get_or_insert_with(Instant::now);
                    (self.is_open, self.is_over) = (false, true);
                }
                Err(error) => return Err(error).context("the socket of a victim"),
            }
        }
        Ok(successes)
    }

    /// Until something comes, or the next call is due.
    fn wait(&self, admin: &Line) -> anyhow::Result<()> {
        let mut sources = vec![admin.interest()];
        let mut pause = PACE;
        if !self.is_over {
            sources.push(PollFd::new(self.socket.get_ref(), PollFlags::IN));
        }
        if self.is_open {
            pause = self.next.saturating_duration_since(Instant::now());
        }
        poll(&mut sources, Some(&Timespec::try_from(pause)?))?;
        Ok(())
    }
}
