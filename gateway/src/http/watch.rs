//! One HTTP call, as long as its caller stands. What a socket's session does for all of its calls,
//! this does for one that has no session.
//!
//! In: the call, and what the feed tells of its caller. Out: its answer, or why it may not have one.
//! Never: an answer while it is in doubt whether its caller may have it. What changes something and
//! was sent to IAM has its own answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, Sleep, sleep_until};
use tollgate_proto::iam::{Claim, Confirmed, Decision};

use crate::auth::life;
use crate::call::{Call, Fate, Target};
use crate::handles::Handles;
use crate::iam::cache::Known;
use crate::sessions::{Gate, Held, Silence, Standing, Told, TooLong, Word};
use crate::tenure::Over;

/// A caller that is watched while its call runs.
pub(super) struct Watch<'a> {
    handles: &'a Handles,
    standing: Standing,
    claim: Claim,
    fate: Option<Arc<Fate>>,
    /// What the feed said, until it was acted on.
    cause: Option<Told>,
    /// IAM is asked what is left of it.
    review: Option<BoxFuture<'a, Confirmed>>,
    silence: Silence,
    /// The credential ends before the call must, and this is when the grace time is over too.
    expiry: Option<Pin<Box<Sleep>>>,
}

impl<'a> Watch<'a> {
    /// Of a call by a task behind this gate.
    pub(super) fn over(handles: &'a Handles, known: &Known, gate: &Arc<Gate>, call: &Call) -> Self {
        let fate = match &call.target {
            Target::Iam(order, fate) if order.operation.changes() => Some(Arc::clone(fate)),
            _ => None,
        };
        let now = Instant::now();
        let (life, leeway) = life(&known.identity, handles.clock.now_ms());
        let over = life.map(|life| now + life + leeway + handles.rules.load().limits.grace);
        let over = over.filter(|over| *over < now + call.budget);
        Self {
            handles,
            expiry: over.map(|over| Box::pin(sleep_until(over))),
            standing: handles.sessions.enter(Held::ByRequest, known, gate, &handles.questions),
            claim: Claim {
                actor: known.identity.actor.clone(),
                checks: call.needs.check().cloned().into_iter().collect(),
            },
            fate,
            cause: None,
            review: None,
            silence: Silence::default(),
        }
    }

    /// Runs the call as long as it stands.
    pub(super) async fn during<F: Future>(mut self, run: F) -> Result<F::Output, Over> {
        let (mut run, mut is_sent) = (pin!(run), false);
        poll_fn(|cx| {
            if !is_sent && let Err(over) = ready!(self.poll(cx)) {
                // Whether what was sent is done, IAM alone knows: its own answer will say.
                is_sent = self.fate.as_ref().is_some_and(|fate| !fate.take_back());
                if !is_sent {
                    self.count(over);
                    return Poll::Ready(Err(over));
                }
            }
            run.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Counts a call that was ended because of what the feed said.
    fn count(&mut self, over: Over) {
        if let Some(told) = self.cause.take()
            && matches!(over, Over::Revoked | Over::WorkspaceGone)
        {
            self.handles.sessions.count(&told, 0, 1);
        }
    }

    /// Whether the call may go on; pending while that is in doubt.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        while let Poll::Ready(told) = self.standing.poll(cx) {
            match told.word {
                Word::Ended => {
                    self.cause = Some(told);
                    return Poll::Ready(Err(Over::Revoked));
                }
                // It is no socket.
                Word::Closed => {}
                // Whatever was asked before is about less.
                Word::Suspect => {
                    let (questions, claim) = (&self.handles.questions, self.claim.clone());
                    self.review = Some(async move { questions.review(claim).await }.boxed());
                    self.cause = Some(told);
                }
            }
        }
        if let Some(expiry) = &mut self.expiry
            && expiry.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(Over::Expired));
        }
        if let Some(review) = &mut self.review {
            let confirmed = ready!(review.as_mut().poll(cx));
            self.review = None;
            judge(&confirmed)?;
            self.cause = None;
        }
        match &self.fate {
            // What IAM has just answered needs no feed.
            Some(_) => Poll::Ready(Ok(())),
            None => self.silence.poll(&self.handles.questions, cx).map_err(|TooLong| Over::Silent),
        }
    }
}

fn judge(confirmed: &Confirmed) -> Result<(), Over> {
    match confirmed {
        Confirmed::Live(decisions) => match decisions.first() {
            None | Some(Decision::Allow) => Ok(()),
            Some(Decision::Deny) => Err(Over::Revoked),
            Some(Decision::NoWorkspace) => Err(Over::WorkspaceGone),
        },
        Confirmed::Rightless | Confirmed::WorkspaceDisabled | Confirmed::Ended => {
            Err(Over::Revoked)
        }
    }
}
