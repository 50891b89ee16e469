//! Workspaces.

use tollgate_proto::iam::{Reply, WorkspaceInput};
use tollgate_proto::ids::{InvalidId, WorkspaceId};

use super::{
    Answered, Context, Request, answer, caller, decide_and_commit, propose, record, required,
};
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
    let id = read_id(input.id)?;
    let name = input.name.unwrap_or_else(|| id.to_string());
    names::check_shown(&name)?;
    let workspace =
        Workspace { id, name, enabled: input.enabled.unwrap_or(true), created_ms: request.now_ms };
    let new = NewWorkspace { request: request.clone(), workspace };
    let proposed =
        propose(context, request, "create-workspace", move |state| new.decide(state)).await?;
    answer(context, request, proposed)
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

/// One workspace.
pub(super) fn get(
    context: &Context,
    request: &Request,
    input: Option<WorkspaceInput>,
) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    let input = required(input, "workspace_record")?;
    let id = read_id(input.id)?;
    policy::allow(&live, &Action::ReadWorkspace { workspace: &id })?;
    let workspace = state::workspace(&view, &id)?.ok_or_else(not_found)?;
    Ok(Reply { workspace: Some(record::workspace(&workspace)), ..Reply::default() }.into())
}

/// Changes a workspace; what is absent keeps what is stored.
pub(super) async fn update(
    context: &Context,
    request: &Request,
    input: Option<WorkspaceInput>,
) -> Result<Answered, Refused> {
    caller::live(&context.state.view()?, request)?;
    let input = required(input, "workspace_record")?;
    if let Some(name) = &input.name {
        names::check_shown(name)?;
    }
    let update = Update {
        request: request.clone(),
        id: read_id(input.id)?,
        name: input.name,
        enabled: input.enabled,
    };
    let decide = move |state: &dyn Read| {
        let outcome = Outcome::Workspace(update.id.clone());
        update.decide(state, outcome)
    };
    decide_and_commit(context, request, "update-workspace", decide).await
}

/// Ends all use of a workspace at once. Users at home there keep what they hold elsewhere.
pub(super) async fn disable(
    context: &Context,
    request: &Request,
    input: Option<WorkspaceInput>,
) -> Result<Answered, Refused> {
    caller::live(&context.state.view()?, request)?;
    let input = required(input, "workspace_record")?;
    let id = read_id(input.id)?;
    let update = Update { request: request.clone(), id, name: None, enabled: Some(false) };
    let decide = move |state: &dyn Read| update.decide(state, Outcome::Done);
    decide_and_commit(context, request, "disable-workspace", decide).await
}

fn read_id(id: Option<String>) -> Result<WorkspaceId, Refused> {
    let id = required(id, "workspace_record.id")?;
    id.parse().map_err(|error: InvalidId| Refused::Invalid(error.to_string()))
}

fn not_found() -> Refused {
    Refused::NotFound("workspace not found")
}

/// A change of a workspace, ready to be decided on.
struct Update {
    request: Request,
    id: WorkspaceId,
    name: Option<String>,
    enabled: Option<bool>,
}

impl Update {
    fn decide(&self, state: &dyn Read, outcome: Outcome) -> Result<Decided, Refused> {
        let live = caller::live(state, &self.request)?;
        let allowed = policy::allow(&live, &Action::UpdateWorkspace { workspace: &self.id })?;
        let there = state::workspace(state, &self.id)?.ok_or_else(not_found)?;
        let name = self.name.as_ref().unwrap_or(&there.name);
        let enabled = self.enabled.unwrap_or(there.enabled);
        let is_same = *name == there.name && enabled == there.enabled;
        let change = (!is_same).then(|| Change::SetWorkspace {
            workspace: there.id.clone(),
            name: name.clone(),
            enabled,
        });
        Ok(Decided { allowed, changes: change.into_iter().collect(), outcome })
    }
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
