//! ⑥ A permit becomes a running call under its deadline, and its end is told once.

use std::sync::Arc;

use tokio::time::{Instant, timeout};
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::{Client, Identity};

use crate::authorise::{NotPermitted, Permit, authorise};
use crate::backend::Backends;
use crate::call::{Call, Target};
use crate::iam::Questions;
use crate::reply::{self, Chunks, Outcome};

/// What running a call takes.
pub(crate) struct Dispatcher {
    pub(crate) questions: Questions,
    pub(crate) backends: Backends,
}

impl Dispatcher {
    /// Authorises and runs a call; whatever happens, `chunks` gets exactly one end.
    pub(crate) async fn answer(
        &self,
        identity: Option<Arc<Identity>>,
        client: Arc<Client>,
        call: Call,
        chunks: Chunks,
    ) {
        let (started, name) = (Instant::now(), call.name.clone());
        let budget = call.budget;
        let run = self.authorise_and_run(identity, client, call, &chunks);
        let outcome = match timeout(budget, run).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorKind::DeadlineExceeded.into()),
        };
        tracing::debug!(
            operation = &*name,
            outcome = outcome.as_ref().map_or_else(|error| error.kind.as_str(), |_| "ok"),
            duration_ms = started.elapsed().as_millis(),
            "call ended"
        );
        chunks.finish(outcome).await;
    }

    async fn authorise_and_run(
        &self,
        identity: Option<Arc<Identity>>,
        client: Arc<Client>,
        call: Call,
        chunks: &Chunks,
    ) -> Outcome {
        let name = call.name.clone();
        let permit = authorise(&self.questions, identity, client, call)
            .await
            .map_err(|reason| refuse(&name, &reason))?;
        self.run(permit, chunks).await
    }

    async fn run(&self, mut permit: Permit, chunks: &Chunks) -> Outcome {
        match permit.take_target() {
            Target::Backend(name, request) => match self.backends.get(&name) {
                Some(backend) => backend.call(&permit, request, chunks).await,
                None => Err(no_backend(&permit)),
            },
            Target::Nothing => Err(no_backend(&permit)),
            Target::Iam(operation) => {
                let actor = permit.identity().map(|identity| identity.actor.clone());
                match self.questions.operate(actor, operation, permit.client()).await {
                    Ok(Ok(answer)) => {
                        serde_json::to_string(&answer).map_err(|_| ErrorKind::Internal.into())
                    }
                    Ok(Err(refusal)) => reply::refusal(&refusal),
                    Err(unreachable) => {
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
