//! Workspaces.

use tollgate_proto::iam::{Reply, WorkspaceInput};
use tollgate_proto::ids::WorkspaceId;

use super::{Answered, Context, Request, answer, caller, propose, record, required};
use crate::commit::Decided;
use crate::names;
use crate::policy::{self, Action};
use crate::record::{Change, Outcome, Workspace};
use crate::refused::Refused;
use crate::state::{self, Read};

/// Makes a workspace. One that is there is answered as it is.
pub(super) async fn create(
    context: &Context,
    request: &Request,
    input: Option<WorkspaceInput>,
) -> Result<Answered, Refused> {
    let live = caller::live(&context.state.view()?, request)?;
    policy::allow(&live, &Action::CreateWorkspace)?;
    let input = required(input, "workspace_record")?;
    let id = required(input.id, "workspace_record.id")?;
    let id: WorkspaceId = id
        .parse()
        .map_err(|error: tollgate_proto::ids::InvalidId| Refused::Invalid(error.to_string()))?;
    let name = input.name.unwrap_or_else(|| id.to_string());
    names::check_shown(&name)?;
    let workspace =
        Workspace { id, name, enabled: input.enabled.unwrap_or(true), created_ms: request.now_ms };
    let new = NewWorkspace { request: request.clone(), workspace };
    let settled =
        propose(context, request, "create-workspace", move |state| new.decide(state)).await?;
    answer(context, request, &settled)
}

/// The workspaces that the caller may manage.
pub(super) fn list(context: &Context, request: &Request) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    policy::allow(&live, &Action::ReadWorkspacesAnywhere)?;
    let all = state::workspaces(&view)?;
    let seen = all.iter().filter(|workspace| {
        policy::allow(&live, &Action::ReadWorkspace { workspace: &workspace.id }).is_ok()
    });
    Ok(Reply { workspaces: seen.map(record::workspace).collect(), ..Reply::default() }.into())
}

/// A new workspace, ready to be decided on.
struct NewWorkspace {
    request: Request,
    workspace: Workspace,
}

impl NewWorkspace {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let live = caller::live(state, &self.request)?;
        let allowed = policy::allow(&live, &Action::CreateWorkspace)?;
        let id = &self.workspace.id;
        let changes = match state::workspace_folded(state, id)? {
            None => vec![Change::AddWorkspace(self.workspace.clone())],
            Some(there) if there.id == *id => Vec::new(),
            // `Team` and `team` would be one queue name to some backend.
            Some(_) => {
                return Err(Refused::Duplicate("workspace id exists in other letters"));
            }
        };
        Ok(Decided { allowed, changes, outcome: Outcome::Workspace(id.clone()) })
    }
}
