//! What became of those about whom the feed told something: asked of IAM for many at once, and until
//! there is an answer.
//!
//! Hundreds of sockets may be concerned by one move. Never: an answer that is older than the news
//! that led to the question; every question names the newest entry that the gateway has heard of.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;
use tollgate_proto::iam::{Claim, Client, Confirmed, Outcome, Question};

use super::asking::Asking;

/// Claims in one question, each of them with as many checks as a socket has calls.
const AT_ONCE: usize = 64;
/// Questions under way at once: others need the link too.
const QUESTIONS: usize = 4;
/// Before IAM is asked again that gave no answer.
const RETRY: Duration = Duration::from_millis(250);

type Asked = (Claim, Vec<oneshot::Sender<Confirmed>>);

/// Claims that wait for their question.
#[derive(Debug, Default)]
pub(super) struct Reviews {
    waiting: Mutex<HashMap<Claim, Vec<oneshot::Sender<Confirmed>>>>,
    arrived: Notify,
}

impl Reviews {
    /// Waits for the answer, however long IAM is silent.
    pub(super) async fn ask(&self, claim: Claim) -> Confirmed {
        let (answer, answered) = oneshot::channel();
        self.put((claim, vec![answer]));
        match answered.await {
            Ok(confirmed) => confirmed,
            // The process stops: nobody will answer.
            Err(_) => pending().await,
        }
    }

    fn put(&self, (claim, answers): Asked) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(claim).or_default().extend(answers);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Those that are asked about next.
    fn take(&self) -> Vec<Asked> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, answers| answers.iter().any(|answer| !answer.is_closed()));
        let next: Vec<_> = waiting.keys().take(AT_ONCE).cloned().collect();
        next.into_iter().filter_map(|claim| waiting.remove_entry(&claim)).collect()
    }

    /// Asks for all who come.
    pub(super) async fn serve(&self, asking: &Asking) {
        let mut asked = FuturesUnordered::new();
        loop {
            while asked.len() < QUESTIONS {
                let next = self.take();
                if next.is_empty() {
                    break;
                }
                asked.push(self.answer(asking, next));
            }
            // Both arms only wait.
            tokio::select! {
                () = self.arrived.notified(), if asked.len() < QUESTIONS => {}
                Some(()) = asked.next() => {}
            }
        }
    }

    async fn answer(&self, asking: &Asking, asked: Vec<Asked>) {
        let claims = asked.iter().map(|(claim, _)| claim.clone()).collect();
        let outcome = asking.ask(Question::Revalidate { claims }, &Client::default()).await;
        match outcome.map(|answer| answer.outcome) {
            Ok(Outcome::Confirmed(all)) if fit(&asked, &all) => {
                for ((_, answers), confirmed) in asked.into_iter().zip(all) {
                    for answer in answers {
                        // Who has left meanwhile need not know.
                        let _ = answer.send(confirmed.clone());
                    }
                }
            }
            other => {
                tracing::debug!(?other, "iam does not say what became of some callers");
                sleep(RETRY).await;
                for one in asked {
                    self.put(one);
                }
            }
        }
    }
}

/// Whether each claim has its answer, and each check its decision.
fn fit(asked: &[Asked], all: &[Confirmed]) -> bool {
    let fits = |((claim, _), confirmed): (&Asked, &Confirmed)| match confirmed {
        Confirmed::Live(decisions) => decisions.len() == claim.checks.len(),
        Confirmed::Rightless | Confirmed::WorkspaceDisabled | Confirmed::Ended => true,
    };
    asked.len() == all.len() && asked.iter().zip(all).all(fits)
}
