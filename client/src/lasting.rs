//! A client that outlives its sockets.
//!
//! In: calls at any time. Out: their results, over whichever socket is there. One task keeps a
//! socket: it connects again when one is lost, as the gateway advises, and authenticates again
//! before a credential ends.
//! Never: a call sent twice that was not marked [`safe`](Request::safe).

mod backoff;
mod keeper;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::config::Config;
use crate::error::{CallError, Ended};
use crate::request::Request;
use crate::stream::Stream;
use crate::tokens::Tokens;
use keeper::Keeper;

/// Between two attempts of a call whose error says that it may be made again, but not when.
const AGAIN: Duration = Duration::from_millis(100);

/// Where a [`LastingClient`] stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A socket is being opened.
    Connecting {
        /// Counts from 1 since one last worked.
        attempt: u32,
    },
    /// The next attempt comes after a pause.
    Waiting {
        /// Why there is no socket.
        reason: String,
        /// How long.
        pause: Duration,
    },
    /// Somebody is authenticated: calls are taken.
    Ready,
    /// No socket will be opened any more: the gateway said so, or the caller did.
    Over(Ended),
}

/// What the keeper publishes for calls.
#[derive(Debug, Clone)]
enum Current {
    None,
    Some(Client),
    Over(Ended),
}

/// A client that connects again. Clones share it; it ends with the last of them and of their
/// streams.
#[derive(Clone)]
pub struct LastingClient {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    current: watch::Receiver<Current>,
    state: watch::Receiver<State>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl LastingClient {
    /// Begins to connect, and returns at once: calls wait for a socket. The token of the config is
    /// not looked at.
    pub fn new(config: Config, tokens: Tokens) -> Self {
        let (current_sender, current) = watch::channel(Current::None);
        let (state_sender, state) = watch::channel(State::Connecting { attempt: 1 });
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let keeper =
            Keeper::new(config.clone(), tokens, current_sender, state_sender, closing.clone());
        tasks.spawn(keeper.run());
        Self { shared: Arc::new(Shared { config, current, state, closing, tasks }) }
    }

    /// Where it stands, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    /// Calls a function with each state that follows; one that is over at once may be missed.
    pub fn on_state(&self, mut tell: impl FnMut(&State) + Send + 'static) {
        let mut state = self.state();
        self.shared.tasks.spawn(async move {
            while state.changed().await.is_ok() {
                let now = state.borrow_and_update().clone();
                tell(&now);
            }
        });
    }

    /// One call, over the socket that is there, or the next one. A call that is marked
    /// [`safe`](Request::safe) is made again when its socket is lost or its error says that it
    /// may be; any other ends with that error.
    pub async fn call(&self, request: Request) -> Result<Box<RawValue>, CallError> {
        let limit = self.limit(&request);
        loop {
            let client = self.client(limit).await?;
            let result = client.call(limit.left_of(&request)).await;
            let again_at = match &result {
                Err(error) if request.safe => limit.again_at(error),
                Ok(_) | Err(_) => None,
            };
            match again_at {
                Some(at) => sleep_until(at).await,
                None => return result,
            }
        }
    }

    /// One call, frame by frame. A stream ends with its socket: what came cannot be taken back.
    pub async fn stream(&self, request: Request) -> Result<Stream, CallError> {
        let limit = self.limit(&request);
        let client = self.client(limit).await?;
        client.stream(limit.left_of(&request)).await
    }

    /// Closes the socket for all clones, and waits until that is done. Calls in flight end with
    /// [`Ended`].
    pub async fn close(&self) {
        let last = match &*self.shared.current.borrow() {
            Current::Some(client) => Some(client.clone()),
            Current::None | Current::Over(_) => None,
        };
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        if let Some(client) = last {
            client.close().await;
        }
    }

    fn limit(&self, request: &Request) -> Limit {
        let after = request.deadline.unwrap_or(self.shared.config.patience);
        Limit { at: Instant::now() + after, after, is_deadline: request.deadline.is_some() }
    }

    /// The socket that is there, or the next one.
    async fn client(&self, limit: Limit) -> Result<Client, CallError> {
        let mut current = self.shared.current.clone();
        loop {
            match &*current.borrow_and_update() {
                Current::Some(client) if !client.has_ended() => return Ok(client.clone()),
                Current::Over(ended) => return Err(ended.clone().into()),
                Current::Some(_) | Current::None => {}
            }
            match timeout_at(limit.at, current.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(keeper::closed().into()),
                Err(_) => return Err(CallError::Timeout(limit.after)),
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl fmt::Debug for LastingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastingClient")
            .field("url", &self.shared.config.url)
            .field("state", &*self.shared.state.borrow())
            .finish_non_exhaustive()
    }
}

/// How long a call may be tried.
#[derive(Debug, Clone, Copy)]
struct Limit {
    at: Instant,
    after: Duration,
    /// Of the call itself, and not only of the wait for a socket.
    is_deadline: bool,
}

impl Limit {
    /// The request with what is left of its time.
    fn left_of(&self, request: &Request) -> Request {
        let left = self.at.saturating_duration_since(Instant::now());
        Request { deadline: self.is_deadline.then_some(left), ..request.clone() }
    }

    /// When a call that failed so may be made again, if it may.
    fn again_at(&self, error: &CallError) -> Option<Instant> {
        let pause = match error {
            // The next socket decides when.
            CallError::Ended(_) => Duration::ZERO,
            CallError::Refused(told) | CallError::Service(told) if told.retryable => {
                told.retry_after_ms.map_or(AGAIN, Duration::from_millis)
            }
            CallError::Refused(_)
            | CallError::Service(_)
            | CallError::Timeout(_)
            | CallError::SlowConsumer
            | CallError::Request(_) => return None,
        };
        let at = Instant::now() + pause;
        (at < self.at).then_some(at)
    }
}
