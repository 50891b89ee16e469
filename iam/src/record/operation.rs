//! What is kept of an operation that was done, so that a retry gets the first outcome.
//!
//! Ids only: a record that was erased must not live on in here.

use serde::{Deserialize, Serialize};
use tollgate_proto::ids::{Seq, UserId, WorkspaceId};
use tollgate_proto::jwt::KeyName;

/// An operation that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The entry that has it.
    pub seq: Seq,
    /// Its name.
    pub operation: String,
    /// Who did it; nobody, if it was public.
    pub actor: Option<UserId>,
    /// What came of it.
    pub outcome: Outcome,
}

impl Done {
    /// Whether it is the same operation of the same actor: an id tells nothing to others.
    pub fn is_of(&self, operation: &str, actor: Option<UserId>) -> bool {
        self.operation == operation && self.actor == actor
    }
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing to tell.
    Done,
    /// A user, as it is now.
    User(UserId),
    /// A workspace, as it is now.
    Workspace(WorkspaceId),
    /// A signing key, by its name.
    SigningKey(KeyName),
    /// A secret, disclosed once and not kept.
    Secret,
}
