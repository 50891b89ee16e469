//! ⑥ A permit becomes a running call under its deadline, and its end is told once.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use tokio::time::{Instant, timeout};
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::Client;

use crate::authorise::{Caller, NotPermitted, Permit, authorise};
use crate::backend::{Backends, Http};
use crate::call::{Call, Target};
use crate::iam::{NotDone, Questions};
use crate::metrics::{CallEnd, CallMetrics};
use crate::reply::{self, Chunks, Outcome};

/// What running a call takes.
pub(crate) struct Dispatcher {
    pub(crate) questions: Arc<Questions>,
    pub(crate) backends: Backends,
}

/// A call whose bytes are passed on.
pub(crate) struct Passage {
    pub(crate) permit: Permit,
    pub(crate) backend: Arc<Http>,
    pub(crate) running: Running,
}

/// That a call runs which its caller runs. Dropped before its end is said, it was cancelled.
pub(crate) struct Running {
    name: Arc<str>,
    metrics: Arc<CallMetrics>,
    since: Instant,
    error: Option<ErrorKind>,
}

impl Running {
    fn begin(call: &Call) -> Self {
        Self {
            name: call.name.clone(),
            metrics: Arc::clone(&call.metrics),
            since: Instant::now(),
            error: Some(ErrorKind::Cancelled),
        }
    }

    /// Says how it ended.
    pub(crate) fn end(mut self, error: Option<ErrorKind>) {
        self.error = error;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        tell_end(&self.name, &self.metrics, self.since, self.error);
    }
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
        tell_end(&name, &metrics, started, outcome.as_ref().err().map(|error| error.kind));
        outcome
    }

    /// Authorises a call whose bytes are passed on, and finds the backend that they go to or come
    /// from. The passage is the caller's to run, as long as the permit holds.
    pub(crate) async fn open(
        &self,
        caller: Option<Arc<Caller>>,
        client: Arc<Client>,
        call: Box<Call>,
    ) -> Result<Passage, WireError> {
        let running = Running::begin(&call);
        let opened = self.authorise_and_find(&running.name, caller, client, call).await;
        match opened {
            Ok((permit, backend)) => Ok(Passage { permit, backend, running }),
            Err(error) => {
                running.end(Some(error.kind));
                Err(error)
            }
        }
    }

    async fn authorise_and_find(
        &self,
        name: &str,
        caller: Option<Arc<Caller>>,
        client: Arc<Client>,
        call: Box<Call>,
    ) -> Result<(Permit, Arc<Http>), WireError> {
        let mut permit = authorise(&self.questions, caller, client, call, Instant::now())
            .await
            .map_err(|reason| refuse(name, &reason))?;
        let backend = match permit.take_target() {
            Target::Passage(backend) => self.backends.passing(&backend).cloned(),
            Target::Nothing | Target::Backend(..) | Target::Iam(_) => None,
        };
        match backend {
            Some(backend) => Ok((permit, backend)),
            None => Err(no_backend(&permit)),
        }
    }

    async fn run(&self, mut permit: Permit, deadline: Option<Instant>, chunks: &Chunks) -> Outcome {
        match permit.take_target() {
            Target::Backend(name, request) => match self.backends.answering(&name) {
                Some(backend) => backend.call(&permit, request, deadline, chunks).await,
                None => Err(no_backend(&permit)),
            },
            Target::Nothing | Target::Passage(_) => Err(no_backend(&permit)),
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

fn tell_end(name: &str, metrics: &CallMetrics, started: Instant, error: Option<ErrorKind>) {
    metrics.ends.inc(CallEnd(error));
    metrics.duration.observe(started.elapsed());
    tracing::debug!(
        operation = name,
        outcome = CallEnd(error).as_str(),
        duration_ms = started.elapsed().as_millis(),
        "call ended"
    );
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
