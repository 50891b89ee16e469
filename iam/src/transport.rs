//! The rim: bytes become questions, outcomes become answers.
//!
//! In: a call, after the service secret was accepted. Out: an answer with its mark; this is the
//! only place where a refusal becomes what the caller reads; `audit` gets the true reason. Never:
//! text from inside. A fault of ours is logged here, once, and nowhere else.

pub mod http;
mod handshake;
mod admission;

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tollgate_proto::iam::{
    Actor, Answer, Call, Confirmed, Decision, Mark, News, Operation, Outcome, Poll, Question,
    Refusal, RefusalKind,
};
use tollgate_proto::ids::Seq;
use tollgate_runtime::lifecycle::Lifecycle;

use crate::audit::{Answered, Asked};
use crate::feed::Survey;
use crate::metrics::Counting;
use crate::nodes::PeerAsk;
use crate::operation::{self, Context, Request, access, sockets};
use crate::policy::Denied;
use crate::refused::Refused;
use crate::state::Read;
use admission::{Admission, Place};

/// What calls are answered with.
#[derive(Debug, Clone)]
struct Rim {
    context: Arc<Context>,
    lifecycle: Lifecycle,
    admission: Arc<Admission>,
}

impl Rim {
    /// Answers a call, within its deadline. A panic ends this call only.
    async fn answer(&self, call: Call) -> Answer {
        let id = call.id;
        let mark = newest(&self.context);
        let asked = Asked::of(&call, &self.context.audit);
        let counting = Counting::of(&call.question);
        let done = match self.admission.admit(&call.question) {
            Ok(place) => self.ask_in_time(place, call).await,
            Err(refused) => Err(refused).into(),
        };
        if let Some(asked) = asked {
            asked.answered(&self.context.audit, done.answered());
        }
        counting.end(&self.context.metrics, done.outcome.as_ref().err());
        let Done { seq, outcome, .. } = done;
        let outcome = outcome.unwrap_or_else(|refused| {
            tracing::debug!(request.id = %id, %refused, "refused");
            Outcome::Refused(told(refused))
        });
        let journal = self.context.journal.id();
        Answer { mark: Mark { journal, seq: mark.max(seq.unwrap_or_default()) }, outcome }
    }

    /// Answers a poll of the feed. A process that stops tells what it knows by then.
    async fn news(&self, poll: Poll) -> News {
        let (feed, journal) = (&self.context.feed, self.context.journal.id());
        self.context.metrics.feed_polls.inc();
        let stop = &self.lifecycle.stop;
        // Trust ends with whatever is older.
        let age = || self.context.writer.freshness().age().max(self.context.nodes.age());
        feed.news(journal, poll, age, stop.cancelled()).await
    }

    /// Answers another node for the gateways of this one.
    async fn survey(&self, asked: PeerAsk) -> Result<Survey, StatusCode> {
        let PeerAsk { node, about } = asked;
        if self.context.nodes.this() != Some(node) {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        sockets::survey_own(&self.context, about).await.map_err(|refused| {
            tracing::debug!(%refused, "another node was not answered");
            StatusCode::SERVICE_UNAVAILABLE
        })
    }

    async fn ask_in_time(&self, place: Place, call: Call) -> Done {
        let (id, deadline) = (call.id, call.question.deadline(self.context.feed.lease()));
        let context = Arc::clone(&self.context);
        let work = async move {
            match place.turn().await {
                Ok(_turn) => ask(&context, call).await,
                Err(refused) => Err(refused).into(),
            }
        };
        let task = AbortOnDropHandle::new(self.lifecycle.tasks.spawn(work));
        match tokio::time::timeout(deadline, task).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => {
                tracing::error!(request.id = %id, "a call panicked");
                Err(Refused::internal("a call panicked")).into()
            }
            Err(_) => Err(Refused::Unavailable("the deadline has passed")).into(),
        }
    }
}

/// What the state is known to hold before the question is looked at: an answer may rest on more,
/// never on less.
fn newest(context: &Context) -> Seq {
    context.state.view().map(|view| view.position().seq).unwrap_or_default()
}

/// What came of a call.
struct Done {
    /// The entry that it made.
    seq: Option<Seq>,
    /// The session that it opened, with its user.
    opened: Option<Actor>,
    outcome: Result<Outcome, Refused>,
}

impl Done {
    fn answered(&self) -> Answered<'_> {
        let (outcome, opened) = (self.outcome.as_ref(), self.opened.as_ref());
        Answered { outcome, is_entered: self.seq.is_some(), opened }
    }
}

impl Done {
    /// Whether it may have been refused for what this node does not know yet.
    fn is_no(&self) -> bool {
        match &self.outcome {
            Ok(Outcome::Decision(decision)) => *decision != Decision::Allow,
            Ok(Outcome::Decisions(decisions)) => !all_allowed(decisions),
            Ok(Outcome::Confirmed(confirmed)) => {
                confirmed.iter().any(|confirmed| match confirmed {
                    Confirmed::Live(decisions) => !all_allowed(decisions),
                    Confirmed::Rightless | Confirmed::WorkspaceDisabled | Confirmed::Ended => true,
                })
            }
            Ok(Outcome::Identity(_) | Outcome::Reply(_) | Outcome::Refused(_)) => false,
            Err(refused) => match refused {
                Refused::NotFound(_)
                | Refused::Duplicate(_)
                | Refused::Unauthenticated(_)
                | Refused::Denied(_)
                | Refused::NotPermitted(_) => true,
                Refused::Invalid(_)
                | Refused::WeakPassword(_)
                | Refused::NotSupported(_)
                | Refused::TooMany { .. }
                | Refused::Unavailable(_)
                | Refused::Internal(_) => false,
            },
        }
    }
}

impl From<Result<Outcome, Refused>> for Done {
    fn from(outcome: Result<Outcome, Refused>) -> Self {
        Self { seq: None, opened: None, outcome }
    }
}

fn all_allowed(decisions: &[Decision]) -> bool {
    decisions.iter().all(|decision| *decision == Decision::Allow)
}

/// Asks once; and where others write to the journal too, once more if the answer is *no* and there
/// was something newer: a refusal is as fresh as a success.
async fn ask(context: &Context, call: Call) -> Done {
    let asked = Instant::now();
    if let Err(refused) = context.writer.freshness().check() {
        return Err(refused).into();
    }
    if is_dear(&call.question)
        && let Err(refused) = context.writer.freshen(asked).await
    {
        return Err(refused).into();
    }
    if let Some(at_least) = call.at_least
        && at_least.journal == context.journal.id()
        && at_least.seq > newest(context)
    {
        let fresh = context.writer.freshen(asked).await;
        if fresh.is_err() || at_least.seq > newest(context) {
            return Err(Refused::Unavailable("this node is behind")).into();
        }
    }
    let (seen, again) = (newest(context), context.journal.is_shared().then(|| call.clone()));
    let done = ask_once(context, call).await;
    match again {
        Some(call) if done.is_no() => match context.writer.freshen(asked).await {
            Ok(()) if newest(context) > seen && !is_dear(&call.question) => {
                ask_once(context, call).await
            }
            Ok(()) => done,
            Err(refused) => Err(refused).into(),
        },
        Some(_) | None => done,
    }
}

/// Whether asking twice would hash a password twice, and count two attempts at it.
const fn is_dear(question: &Question) -> bool {
    let Question::Operate { operation, .. } = question else { return false };
    matches!(operation, Operation::Login { .. } | Operation::ChangePassword { .. })
}

async fn ask_once(context: &Context, call: Call) -> Done {
    let now_ms = context.clock.now_ms();
    let outcome = match call.question {
        Question::Authenticate { credential } => {
            access::authenticate(context, &credential, now_ms).map(Outcome::Identity)
        }
        Question::Authorise { actor, check } => {
            let decisions = access::authorise(context, &actor, &[check], now_ms);
            decisions.and_then(|decisions| match decisions.first() {
                Some(decision) => Ok(Outcome::Decision(*decision)),
                None => Err(Refused::internal("a check without a decision")),
            })
        }
        Question::AuthoriseMany { actor, checks } => {
            access::authorise(context, &actor, &checks, now_ms).map(Outcome::Decisions)
        }
        Question::Revalidate { claims } => {
            access::revalidate(context, &claims, now_ms).map(Outcome::Confirmed)
        }
        Question::Operate { actor, operation, manner } => {
            let request = Request { id: call.id, client: call.client, actor, now_ms, manner };
            return match operation::operate(context, &request, operation).await {
                Ok(operation::Answered { reply, seq, opened, .. }) => {
                    Done { seq, opened, outcome: Ok(Outcome::Reply(reply)) }
                }
                Err(refused) => Err(refused).into(),
            };
        }
    };
    outcome.into()
}

/// What the caller is told.
fn told(refused: Refused) -> Refusal {
    let masked = || Refusal::new(RefusalKind::AuthFailed, "auth failure");
    match refused {
        Refused::Invalid(message) => Refusal::new(RefusalKind::InvalidArgument, message),
        Refused::NotFound(message) => Refusal::new(RefusalKind::NotFound, message),
        Refused::Duplicate(message) => Refusal::new(RefusalKind::Duplicate, message),
        Refused::Unauthenticated(_) => masked(),
        Refused::Denied(denied) => match denied {
            Denied::NotLive => masked(),
            // Said to the owner of the keys, about its own keys.
            Denied::EnoughKeys => {
                Refusal::new(RefusalKind::OperationNotPermitted, denied.to_string())
            }
            Denied::NoGrant
            | Denied::Escalation
            | Denied::Outranked
            | Denied::TemporaryPassword
            | Denied::Minted
            | Denied::NotSelf
            | Denied::Claimed => Refusal::new(RefusalKind::AccessDenied, "access denied"),
        },
        Refused::NotPermitted(message) => Refusal::new(RefusalKind::OperationNotPermitted, message),
        Refused::WeakPassword(message) => Refusal::new(RefusalKind::WeakPassword, message),
        Refused::NotSupported(message) => Refusal::new(RefusalKind::NotSupported, message),
        Refused::TooMany { retry_after } => {
            let ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            Refusal {
                retry_after_ms: Some(ms),
                ..Refusal::new(RefusalKind::TooManyRequests, "too many requests")
            }
        }
        Refused::Unavailable(_) => Refusal::new(RefusalKind::Unavailable, "unavailable"),
        Refused::Internal(source) => {
            tracing::error!(error = &*source as &dyn std::error::Error, "internal error");
            Refusal::new(RefusalKind::InternalError, "internal error")
        }
    }
}
