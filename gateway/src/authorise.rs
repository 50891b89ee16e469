//! ⑤ A call and an identity become a permit.
//!
//! Here and nowhere else. A [`Permit`] has private fields, dispatch takes nothing but a permit:
//! code that skips the check does not compile.

use std::sync::Arc;

use tollgate_proto::error::ErrorKind;
use tollgate_proto::iam::{Check, Client, Decision, Identity};
use tollgate_proto::ids::WorkspaceId;

use crate::call::{Call, Needs, Target};
use crate::iam::{Questions, Unreachable};

/// Proof that a call may run.
#[derive(Debug)]
pub(crate) struct Permit {
    call: Call,
    identity: Option<Arc<Identity>>,
    client: Arc<Client>,
}

impl Permit {
    /// The call that may run.
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// Who calls; nobody for a public operation.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// The workspace that it was authorised for.
    pub(crate) fn workspace(&self) -> Option<&WorkspaceId> {
        self.call.needs.check()?.resource.workspace()
    }

    /// The peer.
    pub(crate) fn client(&self) -> &Client {
        &self.client
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
    Unreachable(#[from] Unreachable),
}

impl NotPermitted {
    /// What the caller is told.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Anonymous => ErrorKind::AuthRequired,
            Self::Denied => ErrorKind::AccessDenied,
            Self::NoWorkspace => ErrorKind::WorkspaceNotFound,
            Self::Unreachable(_) => ErrorKind::Unavailable,
        }
    }
}

/// Makes the permit, or says why not.
pub(crate) async fn authorise(
    questions: &Questions,
    identity: Option<Arc<Identity>>,
    client: Arc<Client>,
    call: Call,
) -> Result<Permit, NotPermitted> {
    match (&call.needs, &identity) {
        // IAM decides on an operation of its own against the record that it concerns: the
        // gateway has never seen that record, so a check here could only be wrong or late.
        (Needs::Nothing, _) | (Needs::Identity, Some(_)) => {}
        (Needs::Identity | Needs::Check(_), None) => return Err(NotPermitted::Anonymous),
        (Needs::Check(check), Some(identity)) => {
            decide(questions, identity, check, &client).await?;
        }
    }
    Ok(Permit { call, identity, client })
}

async fn decide(
    questions: &Questions,
    identity: &Identity,
    check: &Check,
    client: &Client,
) -> Result<(), NotPermitted> {
    match questions.authorise(identity, check, client).await? {
        Decision::Allow => Ok(()),
        Decision::Deny => Err(NotPermitted::Denied),
        Decision::NoWorkspace => Err(NotPermitted::NoWorkspace),
    }
}

#[cfg(test)]
mod tests;
