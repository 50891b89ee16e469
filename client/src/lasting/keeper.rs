//! The task that keeps a socket: opens one, authenticates again in time, and opens the next one
//! when the gateway is about to go, or has gone.

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::broadcast;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tollgate_proto::close::{CloseCode, Reconnect};
use tollgate_proto::frame::{AuthOk, Notice};

use super::backoff::Backoff;
use super::{Current, State};
use crate::client::Client;
use crate::config::Config;
use crate::error::{AuthError, Closed, ConnectError, Ended};
use crate::tokens::{TokenError, Tokens};

/// A socket that has lasted this long has worked.
const HAS_WORKED: Duration = Duration::from_secs(10);
/// Refusals in a row after which there is nothing more to hope for.
const MAX_REFUSALS: u32 = 3;

pub(super) struct Keeper {
    config: Config,
    tokens: Tokens,
    current: watch::Sender<Current>,
    state: watch::Sender<State>,
    closing: CancellationToken,
    backoff: Backoff,
    refusals: u32,
}

/// Why a socket is not there.
#[derive(Debug, thiserror::Error)]
enum Lack {
    #[error("no credential: {0}")]
    NoToken(TokenError),
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    #[error("the gateway is about to go")]
    GoingAway { reconnect_after: Duration },
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// What to do about it.
enum Then {
    /// Open another one, after at least this long.
    Again(Duration),
    /// There will be no other.
    Over(Ended),
}

/// Closed by the caller.
pub(super) fn closed() -> Ended {
    Closed::ours("closed by the caller").into()
}

impl Keeper {
    pub(super) fn new(
        config: Config,
        tokens: Tokens,
        current: watch::Sender<Current>,
        state: watch::Sender<State>,
        closing: CancellationToken,
    ) -> Self {
        let backoff = Backoff::new(config.first_pause, config.longest_pause);
        let config = Config { token: None, ..config };
        Self { config, tokens, current, state, closing, backoff, refusals: 0 }
    }

    pub(super) async fn run(mut self) {
        let closing = self.closing.clone();
        // Both arms only wait; a socket closes when the last call over it has ended.
        let ended = tokio::select! {
            biased;
            () = closing.cancelled() => closed(),
            ended = self.keep() => ended,
        };
        self.current.send_replace(Current::Over(ended.clone()));
        self.state.send_replace(State::Over(ended));
    }

    /// Keeps a socket until there will be no other.
    async fn keep(&mut self) -> Ended {
        loop {
            self.state.send_replace(State::Connecting { attempt: self.backoff.attempt() });
            let lack = match self.open().await {
                Ok((client, session)) => self.attend(client, &session).await,
                Err(lack) => lack,
            };
            self.current.send_replace(Current::None);
            let least = match self.judge(&lack) {
                Then::Again(least) => least,
                Then::Over(ended) => return ended,
            };
            let (reason, pause) = (lack.to_string(), self.backoff.fail(least));
            tracing::debug!(reason, ?pause, "no socket");
            self.state.send_replace(State::Waiting { reason, pause });
            sleep(pause).await;
        }
    }

    async fn open(&self) -> Result<(Client, AuthOk), Lack> {
        let token = self.tokens.next().await.map_err(Lack::NoToken)?;
        let client = Client::connect(self.config.clone()).await?;
        let session = client.authenticate(token).await.map_err(ConnectError::Auth)?;
        Ok((client, session))
    }

    /// Attends to a socket until it is gone, or about to go. Calls that run over it then go on.
    async fn attend(&mut self, client: Client, session: &AuthOk) -> Lack {
        let (begun, mut notices) = (Instant::now(), client.notices());
        let mut reauth_at = next_reauth(session);
        let mut reauth: Option<BoxFuture<'static, Result<AuthOk, String>>> = None;
        self.refusals = 0;
        self.current.send_replace(Current::Some(client.clone()));
        self.state.send_replace(State::Ready);
        let lack = loop {
            // All arms only wait: what has come is still there when another one wins.
            tokio::select! {
                biased;
                ended = client.closed() => break ended.into(),
                told = next_notice(&mut notices) => match told {
                    Notice::GoingAway { reconnect_after_ms, .. } => {
                        let reconnect_after = Duration::from_millis(reconnect_after_ms);
                        break Lack::GoingAway { reconnect_after };
                    }
                    Notice::AuthExpiring { .. }
                    | Notice::AuthExpired {}
                    | Notice::AuthRevoked { .. } => reauth_at = Some(Instant::now()),
                    Notice::Closing { .. } | Notice::Notice { .. } => {}
                },
                done = answer_of(&mut reauth) => match done {
                    Ok(session) => reauth_at = next_reauth(&session),
                    Err(reason) => {
                        tracing::debug!(reason, "not authenticated again");
                        reauth_at = Some(Instant::now() + self.backoff.fail(Duration::ZERO));
                    }
                },
                () = due(reauth_at), if reauth.is_none() => {
                    reauth_at = None;
                    reauth = Some(authenticate(client.clone(), self.tokens.clone()).boxed());
                }
            }
        };
        if begun.elapsed() > HAS_WORKED {
            self.backoff.reset();
        }
        lack
    }

    fn judge(&mut self, lack: &Lack) -> Then {
        match lack {
            Lack::NoToken(_) => Then::Again(Duration::ZERO),
            Lack::GoingAway { reconnect_after } => Then::Again(*reconnect_after),
            Lack::NotConnected(error) => self.judge_connect(error),
            Lack::Ended(ended) => judge_end(ended),
        }
    }

    fn judge_connect(&mut self, error: &ConnectError) -> Then {
        match error {
            ConnectError::Url { .. } | ConnectError::Trust(_) => {
                Then::Over(Closed::ours(error.to_string()).into())
            }
            ConnectError::Auth(AuthError::Failed(failed)) if failed.retryable != Some(true) => {
                self.refusals += 1;
                if self.refusals >= MAX_REFUSALS {
                    let code = CloseCode::AuthFailed.code();
                    return Then::Over(Closed::new(code, failed.error.clone()).into());
                }
                Then::Again(Duration::ZERO)
            }
            ConnectError::Auth(AuthError::Ended(ended)) => judge_end(ended),
            ConnectError::Auth(AuthError::Failed(_) | AuthError::Timeout(_))
            | ConnectError::Io { .. }
            | ConnectError::Handshake { .. }
            | ConnectError::Timeout { .. } => Then::Again(Duration::ZERO),
        }
    }
}

/// What the gateway advised; where it said nothing, what its code stands for.
fn judge_end(ended: &Ended) -> Then {
    let Ended::Closed(closed) = ended else { return Then::Again(Duration::ZERO) };
    let known = CloseCode::ALL.iter().find(|code| code.code() == closed.code);
    let of_code = known.map(|code| code.reconnect().as_str());
    match closed.reconnect.as_deref().or(of_code) {
        Some(advice) if advice == Reconnect::Never.as_str() => Then::Over(ended.clone()),
        Some(_) | None => Then::Again(closed.retry_after.unwrap_or_default()),
    }
}

fn next_reauth(session: &AuthOk) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(session.reauth_in_ms?))
}

async fn authenticate(client: Client, tokens: Tokens) -> Result<AuthOk, String> {
    let token = tokens.next().await.map_err(|error| error.to_string())?;
    client.authenticate(token).await.map_err(|error| error.to_string())
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn answer_of<T>(asked: &mut Option<BoxFuture<'static, T>>) -> T {
    let Some(current) = asked else { return pending().await };
    let answer = current.await;
    *asked = None;
    answer
}

/// The next notice. Of those that were missed none can be told; the socket itself says the rest.
async fn next_notice(notices: &mut broadcast::Receiver<Notice>) -> Notice {
    loop {
        match notices.recv().await {
            Ok(notice) => return notice,
            Err(broadcast::error::RecvError::Lagged(_)) => ready(()).await,
            Err(broadcast::error::RecvError::Closed) => return pending().await,
        }
    }
}
