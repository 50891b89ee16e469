//! Workspaces, unique by their folded ids.

use tollgate_proto::ids::WorkspaceId;

use super::StateError;
use super::rows::{self, Read, Table};
use super::transaction::Open;
use crate::record::Workspace;

/// A workspace by its exact id.
pub fn workspace(from: &dyn Read, id: &WorkspaceId) -> Result<Option<Workspace>, StateError> {
    Ok(workspace_folded(from, id)?.filter(|workspace| workspace.id == *id))
}

/// A workspace by its id, whatever the case of its letters.
pub fn workspace_folded(
    from: &dyn Read,
    id: &WorkspaceId,
) -> Result<Option<Workspace>, StateError> {
    rows::get(from, Table::Workspaces, fold(id).as_bytes())
}

/// All workspaces.
pub fn workspaces(from: &dyn Read) -> Result<Vec<Workspace>, StateError> {
    rows::list(from, Table::Workspaces, b"")
}

pub(super) fn add(open: &mut Open, workspace: &Workspace) -> Result<(), StateError> {
    let key = fold(&workspace.id);
    if open.row(Table::Workspaces, key.as_bytes())?.is_some() {
        return Err(StateError::Unfit("a workspace id that is taken"));
    }
    open.put(Table::Workspaces, key.as_bytes(), workspace)
}

pub(super) fn set(
    open: &mut Open,
    id: &WorkspaceId,
    name: &str,
    enabled: bool,
) -> Result<(), StateError> {
    let there = workspace(open, id)?.ok_or(StateError::Unfit("a workspace that is not there"))?;
    let workspace = Workspace { name: name.to_owned(), enabled, ..there };
    open.put(Table::Workspaces, fold(id).as_bytes(), &workspace)
}

fn fold(id: &WorkspaceId) -> String {
    id.as_str().to_ascii_lowercase()
}
