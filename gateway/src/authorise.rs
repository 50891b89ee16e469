//! ⑤ A call and an identity become a permit.
//!
//! Here and nowhere else. A [`Permit`] has private fields, dispatch takes nothing but a permit:
//! code that skips the check does not compile.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tollgate_proto::error::ErrorKind;
use tollgate_proto::iam::{Check, Client, Decision, Identity};
use tollgate_proto::ids::WorkspaceId;

use crate::call::{Call, Needs, Target};
use crate::iam::cache::{Decided, Known};
use crate::iam::{NotDecided, Questions};

/// Decisions that a caller remembers; one more, and it begins anew.
const MAX_REMEMBERED: usize = 8;
/// Room for those that most callers need, taken before there are calls: taken in the middle of a
/// large one, it would leave a hole behind that no other large one fits into.
const ROOM: usize = 2;

/// Who calls: an identity on one socket, and what was decided about it of late. A client does few
/// things many times, so most calls are authorised without a look at what all sockets share.
#[derive(Debug)]
pub(crate) struct Caller {
    known: Known,
    remembered: Mutex<Vec<(Check, Decided)>>,
}

impl Caller {
    pub(crate) fn new(known: Known) -> Self {
        Self { known, remembered: Mutex::new(Vec::with_capacity(ROOM)) }
    }

    /// As whom it calls.
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.known.identity
    }

    fn recall(&self, check: &Check) -> Option<Decided> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.iter().find(|(known, _)| known == check).map(|(_, decided)| *decided)
    }

    fn remember(&self, check: &Check, decided: Decided) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|(known, _)| known != check);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        // Most callers do one thing.
        remembered.reserve_exact(1);
        remembered.push((check.clone(), decided));
    }
}

/// Proof that a call may run.
#[derive(Debug)]
pub(crate) struct Permit {
    call: Box<Call>,
    caller: Option<Arc<Caller>>,
    client: Arc<Client>,
    decided: Option<Decided>,
}

impl Permit {
    /// The call that may run.
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// Who calls; nobody for a public operation.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        self.caller.as_deref().map(Caller::identity)
    }

    /// The same, and where IAM said so.
    pub(crate) fn known(&self) -> Option<&Known> {
        self.caller.as_deref().map(|caller| &caller.known)
    }

    /// The workspace that it was authorised for.
    pub(crate) fn workspace(&self) -> Option<&WorkspaceId> {
        self.call.needs.check()?.resource.workspace()
    }

    /// The peer.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The decision behind it, if one was needed. A call that goes on for long asks whether it
    /// still holds.
    pub(crate) fn decided(&self) -> Option<Decided> {
        self.decided
    }

    /// Whether it would be given again.
    pub(crate) async fn renew(
        &self,
        questions: &Questions,
    ) -> Result<Option<Decided>, NotPermitted> {
        let Self { call, caller, client, .. } = self;
        check(questions, caller.as_deref(), client, &call.needs, Instant::now()).await
    }

    /// What runs it: taken once.
    pub(crate) fn take_target(&mut self) -> Target {
        std::mem::replace(&mut self.call.target, Target::Nothing)
    }
}

/// Why a call may not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPermitted {
    #[error("nobody is authenticated")]
    Anonymous,
    #[error("no grant allows it")]
    Denied,
    #[error("it would be allowed, and the workspace is not there")]
    NoWorkspace,
    #[error(transparent)]
    NotDecided(#[from] NotDecided),
}

impl NotPermitted {
    /// What the caller is told.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Anonymous | Self::NotDecided(NotDecided::Ended(_)) => ErrorKind::AuthRequired,
            Self::Denied => ErrorKind::AccessDenied,
            Self::NoWorkspace => ErrorKind::WorkspaceNotFound,
            Self::NotDecided(NotDecided::TooOften(_)) => ErrorKind::RateLimited,
            Self::NotDecided(NotDecided::Unreachable(_)) => ErrorKind::Unavailable,
        }
    }
}

/// Makes the permit, or says why not.
pub(crate) async fn authorise(
    questions: &Questions,
    caller: Option<Arc<Caller>>,
    client: Arc<Client>,
    call: Box<Call>,
    now: Instant,
) -> Result<Permit, NotPermitted> {
    let decided = check(questions, caller.as_deref(), &client, &call.needs, now).await?;
    Ok(Permit { call, caller, client, decided })
}

async fn check(
    questions: &Questions,
    caller: Option<&Caller>,
    client: &Client,
    needs: &Needs,
    now: Instant,
) -> Result<Option<Decided>, NotPermitted> {
    match (needs, caller) {
        // IAM decides on an operation of its own against the record that it concerns: the
        // gateway has never seen that record, so a check here could only be wrong or late.
        (Needs::Nothing, _) | (Needs::Identity, Some(_)) => Ok(None),
        (Needs::Identity | Needs::Check(_), None) => Err(NotPermitted::Anonymous),
        (Needs::Check(check), Some(caller)) => {
            decide(questions, caller, check, client, now).await.map(Some)
        }
    }
}

async fn decide(
    questions: &Questions,
    caller: &Caller,
    check: &Check,
    client: &Client,
    now: Instant,
) -> Result<Decided, NotPermitted> {
    let remembered = caller.recall(check).filter(|it| questions.again(it, now).is_some());
    let decided = if let Some(decided) = remembered {
        decided
    } else {
        let decided = questions.authorise(caller.identity(), check, client).await?;
        caller.remember(check, decided);
        decided
    };
    match decided.decision {
        Decision::Allow => Ok(decided),
        Decision::Deny => Err(NotPermitted::Denied),
        Decision::NoWorkspace => Err(NotPermitted::NoWorkspace),
    }
}

#[cfg(test)]
mod tests;
