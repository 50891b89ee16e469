//! Callers that never stop, in every manner in which a gateway serves somebody.
//!
//! In: a credential. Out: when each of them last got something, how often it was told to wait, and how
//! it ended. A caller that misses something, or gets what nobody should, is a fault.

mod caller;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Nothing that is waited for here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a caller does, at the service that [`super::Ticker`] plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Call after call on a socket.
    Calls,
    /// The same, and each takes a while.
    SlowCalls,
    /// One call on a socket that is answered by a stream without end.
    Listens,
    /// Request after request over HTTP.
    Posts,
    /// The same, and each takes a while.
    SlowPosts,
    /// One body without end over HTTP.
    Reads,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Calls, Self::SlowCalls, Self::Listens, Self::Posts, Self::SlowPosts, Self::Reads];

    /// Whether it is told of silence: it asks anew. What runs only waits.
    fn asks(self) -> bool {
        !matches!(self, Self::Listens | Self::Reads)
    }
}

/// What a caller has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When it last got something.
    pub last: Option<Instant>,
    /// How often it was told that nothing can be said now.
    pub unavailable: u64,
    /// How it ended, if it has.
    pub end: Option<(Instant, End)>,
    fault: Option<String>,
}

/// How a caller ends that may do nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The socket was closed with this code.
    Closed(u16),
    /// The request was refused with this status.
    Refused(u16),
    /// The body broke off.
    BrokenOff,
}

/// Somebody in every manner. They end with the value.
pub struct Crowd {
    callers: Vec<(Manner, watch::Receiver<Seen>)>,
    _tasks: JoinSet<()>,
}

impl Crowd {
    /// Begins; all have got something when it returns.
    pub async fn gather(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let (mut callers, mut tasks) = (Vec::new(), JoinSet::new());
        for manner in Manner::ALL {
            let (seen, receiver) = watch::channel(Seen::default());
            tasks.spawn(caller::act(manner, address, token.to_owned(), seen));
            callers.push((manner, receiver));
        }
        let mut crowd = Self { callers, _tasks: tasks };
        crowd.until(|_, seen| seen.last.is_some()).await.context("at the beginning")?;
        Ok(crowd)
    }

    /// Waits until it is so with each of them, and gives what they had seen then.
    pub async fn until(
        &mut self,
        is_so: impl Fn(Manner, &Seen) -> bool,
    ) -> anyhow::Result<Vec<(Manner, Seen)>> {
        let mut all = Vec::new();
        for (manner, receiver) in &mut self.callers {
            let reached = receiver.wait_for(|seen| seen.fault.is_some() || is_so(*manner, seen));
            // One that has ended sees no more.
            let is_reached = timeout(PATIENCE, reached).await.is_ok_and(|reached| reached.is_ok());
            let seen = receiver.borrow().clone();
            ensure!(is_reached && seen.fault.is_none(), "{manner:?} did not come to it: {seen:?}");
            all.push((*manner, seen));
        }
        Ok(all)
    }

    /// What they have seen up to now.
    pub async fn seen(&mut self) -> anyhow::Result<Vec<(Manner, Seen)>> {
        self.until(|_, _| true).await
    }

    /// Waits until each that asks anew has been told that nothing can be said now, or has ended.
    pub async fn until_held(&mut self) -> anyhow::Result<()> {
        let before = self.seen().await?;
        let is_held = |manner: Manner, seen: &Seen| {
            let told = before.iter().find(|(of, _)| *of == manner).map(|(_, it)| it.unavailable);
            !manner.asks() || seen.end.is_some() || told.is_some_and(|told| told < seen.unavailable)
        };
        self.until(is_held).await.map(drop)
    }
}
