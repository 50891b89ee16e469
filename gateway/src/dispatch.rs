//! ⑥ A permit becomes a running call under its deadline, and its end is told once.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use tokio::time::{Instant, timeout_at};
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::Client;

use crate::authorise::{Caller, NotPermitted, Permit, authorise};
use crate::backend::{Backends, Http};
use crate::call::{Call, Target};
use crate::iam::{NotDecided, NotDone, Questions};
use crate::record::Record;
use crate::reply::{self, Chunks, Failed, Outcome, Traced};

/// What running a call takes.
pub(crate) struct Dispatcher {
    pub(crate) questions: Arc<Questions>,
    pub(crate) backends: Backends,
}

/// A call whose bytes are passed on.
pub(crate) struct Passage {
    pub(crate) permit: Arc<Permit>,
    pub(crate) backend: Arc<Http>,
    pub(crate) record: Record,
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
        let (now, deadline) = (Instant::now(), call.deadline());
        let is_over = deadline.is_some_and(|deadline| deadline <= now);
        // One that was given no time at all has what can be answered at once.
        if is_over && !call.budget.is_zero() {
            return Err(ErrorKind::DeadlineExceeded.into());
        }
        let run = async {
            let permit = authorise(&self.questions, caller, client, call, now).await?;
            self.run(permit, deadline, chunks).await
        };
        let mut run = pin!(run);
        // Many calls never wait: the timer is made for those that do.
        match (poll!(run.as_mut()), deadline) {
            (Poll::Ready(outcome), _) => outcome,
            // A timer would leave it the rest of a millisecond.
            (Poll::Pending, _) if is_over => Err(ErrorKind::DeadlineExceeded.into()),
            (Poll::Pending, Some(deadline)) => timeout_at(deadline, run)
                .await
                .unwrap_or_else(|_| Err(ErrorKind::DeadlineExceeded.into())),
            (Poll::Pending, None) => run.await,
        }
    }

    /// Authorises a call whose bytes are passed on, and finds the backend that they go to or come
    /// from. The passage is the caller's to run, as long as the permit holds.
    pub(crate) async fn open(
        &self,
        mut record: Record,
        caller: Option<Arc<Caller>>,
        client: Arc<Client>,
        call: Box<Call>,
    ) -> Result<Passage, WireError> {
        match self.authorise_and_find(caller, client, call).await {
            Ok((permit, backend)) => Ok(Passage { permit: Arc::new(permit), backend, record }),
            Err(Failed { error, reason }) => {
                record.because(reason);
                record.end(None, Some(&error));
                Err(error)
            }
        }
    }

    async fn authorise_and_find(
        &self,
        caller: Option<Arc<Caller>>,
        client: Arc<Client>,
        call: Box<Call>,
    ) -> Result<(Permit, Arc<Http>), Failed> {
        let mut permit = authorise(&self.questions, caller, client, call, Instant::now()).await?;
        let backend = match permit.take_target() {
            Target::Passage(backend) => self.backends.passing(&backend).cloned(),
            Target::Nothing | Target::Backend(..) | Target::Iam(..) => None,
        };
        match backend {
            Some(backend) => Ok((permit, backend)),
            None => Err(no_backend(&permit).into()),
        }
    }

    async fn run(&self, mut permit: Permit, deadline: Option<Instant>, chunks: &Chunks) -> Outcome {
        match permit.take_target() {
            Target::Backend(name, request) => match self.backends.answering(&name) {
                Some(backend) => backend.call(&permit, request, deadline, chunks).await,
                None => Err(no_backend(&permit).into()),
            },
            Target::Nothing | Target::Passage(_) => Err(no_backend(&permit).into()),
            Target::Iam(order, fate) if order.operation.changes() && !fate.send() => {
                Err(ErrorKind::Cancelled.into())
            }
            Target::Iam(order, _) => {
                let actor = permit.identity().map(|identity| identity.actor.clone());
                match self.questions.operate(actor, *order, permit.client()).await {
                    Ok(answer) => {
                        serde_json::to_string(&answer).map_err(|_| ErrorKind::Internal.into())
                    }
                    Err(NotDone::Ended(ended)) => {
                        Err(NotPermitted::from(NotDecided::from(ended)).into())
                    }
                    Err(NotDone::Refused(refusal)) => reply::refusal(&refusal),
                    Err(NotDone::TooOften(it)) => {
                        Err(NotPermitted::from(NotDecided::from(it)).into())
                    }
                    Err(NotDone::Unreachable(unreachable)) => {
                        let trace = permit.call().traceparent.as_ref();
                        let error = Traced::new(ErrorKind::Unavailable.into(), trace);
                        let operation = &*permit.call().name;
                        let trace_id = error.trace_id();
                        tracing::warn!(operation, trace.id = trace_id, %unreachable, "iam failed");
                        Err(WireError::from(error).into())
                    }
                }
            }
        }
    }
}

fn no_backend(permit: &Permit) -> WireError {
    let message = format!("no backend is configured for {}", permit.call().name);
    WireError::with_message(ErrorKind::Unavailable, message)
}
