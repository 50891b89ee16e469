//! Questions leave here, and are counted. What many want to know at the same time is asked once.
//!
//! In: a question, and whether its answer can be used. Out: what the asker takes.
//! Never: for somebody who came later, more trust in an answer than in one that was kept; or a
//! refusal that was meant for somebody else, whose line in IAM's audit file names another peer.

use std::hash::Hash;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tollgate_proto::iam::{Answer, Client, Mark, Outcome, Question, RefusalKind};
use tollgate_runtime::metrics::Asked;

use super::flights::{Flights, Flown};
use super::{Iam, Unreachable};
use crate::metrics::{Answered, Metrics};

/// How often something is asked whose answers are older than the news about their subject.
const TRIES: usize = 3;

#[derive(Clone)]
pub(super) struct Asking {
    iam: Arc<dyn Iam>,
    metrics: Arc<Metrics>,
}

/// What IAM said, at which place in its journal, and when it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Said<T> {
    pub(super) what: T,
    pub(super) mark: Mark,
    pub(super) asked: Instant,
}

/// Why it said nothing of the kind.
#[derive(Debug, Clone)]
pub(super) enum Unsaid {
    Refused,
    Unreachable(Unreachable),
}

pub(super) type Told<T> = Result<Said<T>, Unsaid>;

/// For whom an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// The one who has it here: it was asked after that one came.
    Asker,
    /// Somebody who came before.
    Another,
}

/// How it is asked next.
enum Turn {
    First,
    Again,
    Alone,
}

impl Asking {
    pub(super) fn new(iam: Arc<dyn Iam>, metrics: Arc<Metrics>) -> Self {
        Self { iam, metrics }
    }

    pub(super) fn iam(&self) -> &dyn Iam {
        &*self.iam
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) async fn ask(
        &self,
        question: Question,
        client: &Client,
    ) -> Result<Answer, Unreachable> {
        let (asked, started) = (Asked::from(&question), Instant::now());
        let answer = self.iam.ask(question, client).await;
        let answered = match &answer {
            Ok(Answer { outcome: Outcome::Refused(_), .. }) => Answered::Refused,
            Ok(_) => Answered::Ok,
            Err(_) => Answered::Unreachable,
        };
        self.metrics.iam_questions.inc((asked, answered));
        self.metrics.iam_question_duration_seconds.observe(started.elapsed());
        answer
    }

    /// The same for whoever may wait for it. `read` gives back what is no answer.
    pub(super) fn ask_for_all<T: Send + 'static>(
        &self,
        question: Question,
        client: &Client,
        read: fn(Outcome) -> Result<T, Box<Outcome>>,
    ) -> BoxFuture<'static, Told<T>> {
        let (asking, client) = (self.clone(), client.clone());
        let asked = Instant::now();
        let ask = async move {
            let Answer { mark, outcome } = asking.ask(question, &client).await?;
            let other = match read(outcome) {
                Ok(what) => return Ok(Said { what, mark, asked }),
                Err(other) => *other,
            };
            Err(match other {
                Outcome::Refused(refusal) if is_transient(refusal.kind) => {
                    Unreachable(refusal.to_string()).into()
                }
                Outcome::Refused(_) => Unsaid::Refused,
                other => unexpected(&other).into(),
            })
        };
        ask.boxed()
    }
}

/// Asks, with all who want to know the same, until there is an answer that can be used. `take` says
/// whether it can, `kept` gives what others of them have taken meanwhile.
pub(super) async fn settle<K: Clone + Eq + Hash, T: Clone, R>(
    flights: &Flights<K, Told<T>>,
    key: &K,
    kept: impl Fn() -> Option<R>,
    ask: impl Fn() -> BoxFuture<'static, Told<T>>,
    take: impl Fn(Said<T>, For) -> Option<R>,
) -> Result<R, Unsaid> {
    let mut turn = Turn::First;
    for _ in 0..TRIES {
        let (told, whose) = match turn {
            Turn::First => match flights.join(key, &ask).await {
                Flown::Own(told) => (told, For::Asker),
                Flown::Joined(told) => (told, For::Another),
            },
            // Whatever is under way now was asked behind the first.
            Turn::Again => match flights.join(key, &ask).await {
                Flown::Own(told) | Flown::Joined(told) => (told, For::Asker),
            },
            Turn::Alone => (ask().await, For::Asker),
        };
        turn = match told {
            Ok(said) => match take(said, whose).or_else(&kept) {
                Some(taken) => return Ok(taken),
                None => Turn::Again,
            },
            Err(Unsaid::Refused) if whose == For::Another => Turn::Alone,
            Err(reason) => return Err(reason),
        };
    }
    // Its subject moves faster than it is told of.
    Err(Unreachable("its answers are older than its news".to_owned()).into())
}

impl From<Unreachable> for Unsaid {
    fn from(reason: Unreachable) -> Self {
        Self::Unreachable(reason)
    }
}

pub(super) fn is_transient(kind: RefusalKind) -> bool {
    match kind {
        RefusalKind::Unavailable | RefusalKind::InternalError | RefusalKind::TooManyRequests => {
            true
        }
        RefusalKind::InvalidArgument
        | RefusalKind::NotFound
        | RefusalKind::Duplicate
        | RefusalKind::AuthFailed
        | RefusalKind::AccessDenied
        | RefusalKind::OperationNotPermitted
        | RefusalKind::WeakPassword
        | RefusalKind::NotSupported => false,
    }
}

pub(super) fn unexpected(outcome: &Outcome) -> Unreachable {
    Unreachable(format!("an answer of another kind: {outcome:?}"))
}
