//! ⑥ A permit becomes a running call under its deadline, and its end is told once.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use tokio::time::{Instant, timeout};
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::Client;

use crate::authorise::{Caller, NotPermitted, Permit, authorise};
use crate::backend::Backends;
use crate::call::{Call, Target};
use crate::iam::{NotDone, Questions};
use crate::metrics::CallEnd;
use crate::reply::{self, Chunks, Outcome};

/// What running a call takes.
pub(crate) struct Dispatcher {
    pub(crate) questions: Arc<Questions>,
    pub(crate) backends: Backends,
}

impl Dispatcher {
    /// Authorises and runs a call. Its end is what this returns; what comes before goes through
    /// `chunks`.
    pub(crate) async fn answer(
        &self,
        caller: Option<Arc<Caller>>,
        client: Arc<Client>,
        call: Box<Call>,
        chunks: &Chunks,
    ) -> Outcome {
        let (started, name) = (Instant::now(), call.name.clone());
        let metrics = Arc::clone(&call.metrics);
        let budget = call.budget;
        let run = async {
            let permit = authorise(&self.questions, caller, client, call, started)
                .await
                .map_err(|reason| refuse(&name, &reason))?;
            self.run(permit, started.checked_add(budget), chunks).await
        };
        let mut run = pin!(run);
        // Many calls never wait: the timer is made for those that do.
        let outcome = match poll!(run.as_mut()) {
            Poll::Ready(outcome) => outcome,
            // A timer would leave it the rest of a millisecond.
            Poll::Pending if budget.is_zero() => Err(ErrorKind::DeadlineExceeded.into()),
            Poll::Pending => timeout(budget, run)
                .await
                .unwrap_or_else(|_| Err(ErrorKind::DeadlineExceeded.into())),
        };
        metrics.ends.inc(CallEnd(outcome.as_ref().err().map(|error| error.kind)));
        metrics.duration.observe(started.elapsed());
        tracing::debug!(
            operation = &*name,
            outcome = outcome.as_ref().map_or_else(|error| error.kind.as_str(), |_| "ok"),
            duration_ms = started.elapsed().as_millis(),
            "call ended"
        );
        outcome
    }

    async fn run(&self, mut permit: Permit, deadline: Option<Instant>, chunks: &Chunks) -> Outcome {
        match permit.take_target() {
            Target::Backend(name, request) => match self.backends.get(&name) {
                Some(backend) => backend.call(&permit, request, deadline, chunks).await,
                None => Err(no_backend(&permit)),
            },
            Target::Nothing => Err(no_backend(&permit)),
            Target::Iam(operation) => {
                let actor = permit.identity().map(|identity| identity.actor.clone());
                match self.questions.operate(actor, *operation, permit.client()).await {
                    Ok(answer) => {
                        serde_json::to_string(&answer).map_err(|_| ErrorKind::Internal.into())
                    }
                    Err(NotDone::Ended) => Err(ErrorKind::AuthRequired.into()),
                    Err(NotDone::Refused(refusal)) => reply::refusal(&refusal),
                    Err(NotDone::Unreachable(unreachable)) => {
                        tracing::warn!(%unreachable, "operation of iam failed");
                        Err(ErrorKind::Unavailable.into())
                    }
                }
            }
        }
    }
}

/// The reason goes to the log, the mask to the caller.
fn refuse(name: &str, reason: &NotPermitted) -> WireError {
    tracing::info!(operation = name, %reason, "call refused");
    reason.kind().into()
}

fn no_backend(permit: &Permit) -> WireError {
    let message = format!("no backend is configured for {}", permit.call().name);
    WireError::with_message(ErrorKind::Unavailable, message)
}
