//! What grants add up to, scope by scope.

use tollgate_proto::capability::Capability;
use tollgate_proto::ids::WorkspaceId;
use tollgate_proto::resource::Resource;

use super::roles::{self, Capabilities};
use crate::record::{Grant, Scope, What};

/// What somebody may do, and where: the union of its grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    deployment: Capabilities,
    workspaces: Vec<(WorkspaceId, Capabilities)>,
}

impl Rights {
    /// The union of the grants that have not expired.
    pub fn of(grants: &[Grant], now_ms: u64) -> Self {
        let mut rights = Self::default();
        for grant in grants {
            if grant.expires_ms.is_some_and(|expires| expires <= now_ms) {
                continue;
            }
            rights.add(&grant.scope, roles::capabilities_of(grant.what));
        }
        rights
    }

    /// What one grant gives.
    pub fn of_one(what: What, scope: &Scope) -> Self {
        let mut rights = Self::default();
        rights.add(scope, roles::capabilities_of(what));
        rights
    }

    fn add(&mut self, scope: &Scope, more: Capabilities) {
        match scope {
            Scope::Deployment => self.deployment = self.deployment.with(more),
            Scope::Workspace(id) => match self.workspaces.iter_mut().find(|(at, _)| at == id) {
                Some((_, has)) => *has = has.with(more),
                None => self.workspaces.push((id.clone(), more)),
            },
        }
    }

    /// Whether some grant that covers the resource has the capability.
    pub fn allow(&self, capability: Capability, resource: &Resource) -> bool {
        match resource.workspace() {
            None => self.deployment.has(capability),
            Some(workspace) => self.at(workspace).has(capability),
        }
    }

    /// Whether the capability is held in any scope at all.
    pub fn anywhere(&self, capability: Capability) -> bool {
        self.deployment.has(capability)
            || self.workspaces.iter().any(|(_, has)| has.has(capability))
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        !self.reach_deployment() && self.workspaces.iter().all(|(id, _)| !self.reach(id))
    }

    /// Whether there is any right in a workspace.
    pub fn reach(&self, workspace: &WorkspaceId) -> bool {
        self.at(workspace) != Capabilities::default()
    }

    /// Whether there is any right on the deployment as a whole.
    pub fn reach_deployment(&self) -> bool {
        self.deployment != Capabilities::default()
    }

    /// The workspaces that a grant names.
    pub fn workspaces(&self) -> impl Iterator<Item = &WorkspaceId> {
        self.workspaces.iter().map(|(id, _)| id)
    }

    /// Whether these rights include all of the others, at every scope that those cover. A
    /// deployment covers workspaces that are still to come, so only a deployment covers it.
    pub fn cover(&self, other: &Self) -> bool {
        self.deployment.has_all(other.deployment)
            && other.workspaces.iter().all(|(id, has)| self.at(id).has_all(*has))
    }

    fn at(&self, workspace: &WorkspaceId) -> Capabilities {
        let here = self.workspaces.iter().find(|(id, _)| id == workspace);
        here.map_or(self.deployment, |(_, has)| self.deployment.with(*has))
    }
}
