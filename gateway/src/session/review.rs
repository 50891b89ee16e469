//! What a session does about what the feed tells, and about its silence.
//!
//! Nothing that a call says leaves while something that its identity rests on is in doubt. In: what
//! the session's [`Standing`] is told, the lease, what IAM says. Out: inputs of the machine.

use std::future::pending;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tollgate_proto::iam::{Claim, Confirmed};

use super::phase::{Input, Phase, Way};
use super::reauth::Refused;
use super::{Flow, Session};
use crate::authorise::Caller;
use crate::iam::Questions;
use crate::sessions::{LONGEST_HOLD, Standing, Told, Word};

/// What the feed has to say.
pub(super) enum News {
    /// To this session.
    Told(Told),
    /// Whether it is trusted now, which it was not, or was.
    Lease { trusted: bool },
}

/// IAM is asked what is left of an identity.
pub(super) type Reviewing = BoxFuture<'static, Reviewed>;

/// What IAM said.
pub(super) enum Reviewed {
    /// The identity is good, but for these calls.
    Live(Refused),
    Ended,
    WorkspaceDisabled,
}

/// Looks at the feed: first of all with each poll of the session's task, so that nothing leaves under
/// what it was before.
pub(super) fn poll_news(
    standing: Option<&Standing>,
    questions: &Questions,
    phase: Phase,
    cx: &mut Context<'_>,
) -> Poll<News> {
    let Some(standing) = standing else { return Poll::Pending };
    if let Poll::Ready(told) = standing.poll(cx) {
        return Poll::Ready(News::Told(told));
    }
    let trusted = Instant::now() < questions.trusted_until();
    let is_held = matches!(phase.way(), Some(Way::Held { .. }));
    if trusted == is_held { Poll::Ready(News::Lease { trusted }) } else { Poll::Pending }
}

/// Waits for what IAM says.
pub(super) async fn reviewed(reviewing: &mut Option<Reviewing>) -> Reviewed {
    let Some(current) = reviewing else { return pending().await };
    let reviewed = current.await;
    *reviewing = None;
    reviewed
}

impl Session {
    pub(super) fn on_news(&mut self, news: News) -> Flow {
        let input = match news {
            News::Told(told) => {
                let input = match told.word {
                    Word::Suspect => Input::Suspected,
                    Word::Closed => Input::Kicked,
                    Word::Ended => Input::AuthorityEnded,
                };
                self.cause = Some(told);
                input
            }
            News::Lease { trusted: true } => Input::LeaseBack,
            News::Lease { trusted: false } => {
                let silent_since = self.handles.questions.trusted_until();
                self.timers.held_over = Some(silent_since + LONGEST_HOLD);
                Input::LeaseLost
            }
        };
        // Who is kicked may have what was written before.
        if self.is_open() && input != Input::Kicked {
            self.keep_unread();
        }
        self.advance(input)?;
        self.take_way()
    }

    /// Asks IAM what is left of the identity, and of what runs under it.
    pub(super) fn review(&mut self) {
        let Some(actor) = self.caller.as_deref().map(Caller::identity).map(|it| it.actor.clone())
        else {
            return;
        };
        let (claims, handles) = (self.claims(), Arc::clone(&self.handles));
        let review = async move {
            let checks = claims.checks();
            let claim = Claim { actor, checks: checks.clone() };
            match handles.questions.review(claim).await {
                Confirmed::Live(decisions) => Reviewed::Live(claims.refused(&checks, &decisions)),
                Confirmed::WorkspaceDisabled => Reviewed::WorkspaceDisabled,
                Confirmed::Rightless | Confirmed::Ended => Reviewed::Ended,
            }
        };
        self.reviewing = Some(review.boxed());
    }

    pub(super) fn on_reviewed(&mut self, reviewed: Reviewed) -> Flow {
        match reviewed {
            Reviewed::Live(refused) => {
                let cancelled = self.end_refused(refused);
                self.count_ended(0, cancelled);
                self.advance(Input::Confirmed)?;
                self.take_way()
            }
            Reviewed::Ended => self.advance(Input::AuthorityEnded),
            Reviewed::WorkspaceDisabled => self.advance(Input::WorkspaceDisabled),
        }
    }

    /// Keeps what was written before and has not left, because the client does not read.
    pub(super) fn keep_unread(&mut self) {
        if self.socket.backlog().is_some() {
            self.socket.cork(true);
        }
    }

    /// Goes on where the way is open again, or closed for good.
    pub(super) fn take_way(&mut self) -> Flow {
        if self.phase.way() != Some(Way::Review) {
            self.reviewing = None;
        }
        if self.is_open() {
            self.socket.cork(false);
            self.cause = None;
            self.timers.held_over = None;
            self.start_waiting();
        }
        self.release_held()
    }

    /// Whether what calls say may leave.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.phase.way(), Some(Way::Review | Way::Held { .. }))
    }

    /// Counts what was ended because of something that the session was told.
    pub(super) fn count_ended(&mut self, closed: u64, cancelled: u64) {
        if let Some(told) = self.cause.take() {
            self.handles.sessions.count(&told, closed, cancelled);
        }
    }

    /// Whether frames wait for what IAM says.
    pub(super) fn holds_frames(&self) -> bool {
        let is_told = self.standing.as_ref().is_some_and(Standing::is_told);
        self.checking.is_some() || is_told || self.phase == Phase::Bound(Way::Review)
    }
}
