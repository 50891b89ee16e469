//! What is asked, and answered, about those who may have ended.

use serde::{Deserialize, Serialize};

use super::{Actor, Check, Decision};

/// Somebody who may have ended, and what it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    pub actor: Actor,
    /// What, decided in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// What became of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmed {
    /// It is who it was; and what it may do of what was asked about.
    Live(Vec<Decision>),
    /// It is who it was, and may do nothing any more.
    Rightless,
    /// The same, because the workspaces are disabled in which it might.
    WorkspaceDisabled,
    /// It is not who it was.
    Ended,
}
