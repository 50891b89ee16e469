//! What a decision is about. There is no "unset": a decision without a concrete scope
//! cannot be asked for.

use serde::{Deserialize, Serialize};

use crate::ids::{FlowId, WorkspaceId};

/// The thing that a capability is needed on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "kebab-case")]
pub enum Resource {
    /// The deployment as a whole: only a deployment-wide grant covers it.
    Deployment,
    /// A workspace.
    Workspace {
        /// Which one.
        workspace: WorkspaceId,
    },
    /// A flow of a workspace.
    Flow {
        /// The workspace that the flow belongs to.
        workspace: WorkspaceId,
        /// Which flow.
        flow: FlowId,
    },
}

impl Resource {
    /// The workspace concerned, where there is one.
    pub fn workspace(&self) -> Option<&WorkspaceId> {
        match self {
            Self::Deployment => None,
            Self::Workspace { workspace } | Self::Flow { workspace, .. } => Some(workspace),
        }
    }
}
