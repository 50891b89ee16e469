//! A permit for as long as it holds. Whatever goes on for long, messages between two sockets or a
//! stream of bytes, asks IAM again when the decision behind its permit runs out.
//!
//! In: the permit. Out: whether something may be passed on now, or why nothing may any more.
//! Never: a guess. While IAM cannot be asked, or its feed is silent, nothing is passed on, and so
//! nothing is lost.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, Sleep, sleep_until};
use tollgate_proto::error::ErrorKind;

use crate::auth::life;
use crate::authorise::{NotPermitted, Permit};
use crate::handles::Handles;
use crate::iam::NotDecided;
use crate::iam::cache::Decided;
use crate::sessions::{Gate, Held, Silence, Standing, Told, TooLong, Word};

/// Between two questions to an IAM that cannot be asked.
const RETRY: Duration = Duration::from_secs(1);

/// How far our clock and IAM's may differ about the end of a credential.
const SKEW: Duration = Duration::from_secs(5);

/// A permit that is asked for again.
pub(crate) struct Tenure {
    handles: Arc<Handles>,
    permit: Arc<Permit>,
    /// Where the feed finds it.
    standing: Option<Standing>,
    silence: Silence,
    /// What the feed said, until it was acted on.
    cause: Option<Told>,
    /// What it rests on. `None`: on nothing that is asked for again.
    decided: Option<Decided>,
    /// IAM is asked whether it still holds.
    renewal: Option<BoxFuture<'static, Renewed>>,
    /// IAM is not asked again before.
    retry_at: Instant,
    /// When the credential's life is over, give or take what clocks differ, and its grace time too.
    life: Option<(Instant, Instant)>,
    sleep: Pin<Box<Sleep>>,
}

type Renewed = Result<Option<Decided>, NotPermitted>;

/// Why a permit holds no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The credential and its grace time are over.
    Expired,
    /// The caller may no longer do this.
    Revoked,
    /// It may, and its socket is to be closed.
    Kicked,
    /// It might, and the workspace is there no more.
    WorkspaceGone,
    /// The feed has been silent for too long.
    Silent,
}

impl Over {
    /// The error of the call that ended so.
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::Expired => ErrorKind::AuthExpired,
            Self::Revoked => ErrorKind::AccessDenied,
            Self::WorkspaceGone => ErrorKind::WorkspaceNotFound,
            Self::Kicked | Self::Silent => ErrorKind::Unavailable,
        }
    }
}

impl Tenure {
    /// Of a task behind this gate.
    pub(crate) fn new(
        handles: Arc<Handles>,
        permit: Arc<Permit>,
        held: Held,
        gate: &Arc<Gate>,
    ) -> Self {
        let now = Instant::now();
        let grace = handles.rules.load().limits.grace;
        let life = permit.identity().and_then(|identity| {
            let (life, leeway) = life(identity, handles.clock.now_ms());
            let over = now + life?;
            Some((over.checked_sub(SKEW).unwrap_or(now), over + leeway + grace))
        });
        let Handles { sessions, questions, .. } = &*handles;
        let standing = permit.known().map(|known| sessions.enter(held, known, gate, questions));
        Self {
            standing,
            silence: Silence::default(),
            cause: None,
            decided: permit.decided(),
            renewal: None,
            retry_at: now,
            life,
            sleep: Box::pin(sleep_until(now)),
            handles,
            permit,
        }
    }

    /// Runs something that passes bytes on, as long as the permit holds. It is not polled while
    /// IAM is asked.
    pub(crate) async fn during<F: Future>(&mut self, run: F) -> Result<F::Output, Over> {
        let mut run = pin!(run);
        poll_fn(|cx| {
            ready!(self.poll(cx))?;
            run.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Whether something may be passed on now; pending while IAM is asked. Whoever polls is woken
    /// when time or IAM changes the answer.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        // A doubt is one about what was decided: news void that, and IAM is asked below.
        while let Some(standing) = &self.standing
            && let Poll::Ready(told) = standing.poll(cx)
        {
            let over = match told.word {
                Word::Suspect => None,
                Word::Closed => Some(Over::Kicked),
                Word::Ended => Some(Over::Revoked),
            };
            self.cause = Some(told);
            if let Some(over) = over {
                self.count();
                return Poll::Ready(Err(over));
            }
        }
        loop {
            let now = Instant::now();
            if self.life.is_some_and(|(_, over)| over <= now) {
                return Poll::Ready(Err(Over::Expired));
            }
            match self.silence.poll(&self.handles.questions, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(TooLong)) => return Poll::Ready(Err(Over::Silent)),
                Poll::Pending if self.is_due(self.life.map(|(_, over)| over), cx) => continue,
                Poll::Pending => return Poll::Pending,
            }
            if let Some(renewal) = &mut self.renewal
                && let Poll::Ready(renewed) = renewal.poll_unpin(cx)
            {
                self.renewal = None;
                if let Err(over) = self.take(&renewed, now) {
                    self.count();
                    return Poll::Ready(Err(over));
                }
            }
            let decided = self.decided.as_ref();
            let holds = decided.is_none_or(|it| self.handles.questions.again(it, now).is_some());
            if !holds && self.renewal.is_none() && self.retry_at <= now {
                self.renew();
                continue;
            }
            if self.is_due(self.due(holds), cx) {
                continue;
            }
            if !holds {
                return Poll::Pending;
            }
            self.cause = None;
            return Poll::Ready(Ok(()));
        }
    }

    /// Counts what is ended because of what the feed said.
    fn count(&mut self) {
        if let (Some(told), Some(standing)) = (self.cause.take(), &self.standing) {
            let closed = u64::from(standing.is_of_socket());
            self.handles.sessions.count(&told, closed, 1);
        }
    }

    /// Whether a time has come. If not, whoever polls is woken then.
    fn is_due(&mut self, due: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(due) = due else { return false };
        if self.sleep.deadline() != due {
            self.sleep.as_mut().reset(due);
        }
        self.sleep.as_mut().poll(cx).is_ready()
    }

    fn due(&self, holds: bool) -> Option<Instant> {
        let renew_at = match &self.renewal {
            _ if holds => self.decided.map(|it| it.until()),
            Some(_) => None,
            None => Some(self.retry_at),
        };
        let expires = self.life.map(|(_, over)| over);
        [expires, renew_at].into_iter().flatten().min()
    }

    fn renew(&mut self) {
        let (handles, permit) = (Arc::clone(&self.handles), Arc::clone(&self.permit));
        let renew = async move { permit.renew(&handles.questions).await };
        self.renewal = Some(renew.boxed());
    }

    fn take(&mut self, renewed: &Renewed, now: Instant) -> Result<(), Over> {
        match renewed {
            Ok(decided) => self.decided = *decided,
            Err(NotPermitted::NotDecided(NotDecided::Unreachable(_) | NotDecided::TooOften(_))) => {
                self.retry_at = now + RETRY;
            }
            // The credential ends of itself: what runs may go on for the grace time, as calls may.
            Err(NotPermitted::Denied | NotPermitted::NotDecided(NotDecided::Ended(_)))
                if self.life.is_some_and(|(ends, _)| ends <= now) =>
            {
                self.decided = None;
            }
            Err(NotPermitted::NoWorkspace) => return Err(Over::WorkspaceGone),
            Err(
                NotPermitted::Denied
                | NotPermitted::Anonymous
                | NotPermitted::NotDecided(NotDecided::Ended(_)),
            ) => return Err(Over::Revoked),
        }
        Ok(())
    }
}
