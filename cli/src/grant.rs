//! Grants: as flags, in words, and as a table.

use tollgate_proto::iam::{GrantInput, GrantRecord};

use crate::output::cell;
use crate::table;

/// The name of the whole deployment where a workspace is named.
pub(crate) const DEPLOYMENT: &str = "*";

/// What to give, or to take away.
#[derive(clap::Args)]
pub(crate) struct WhatArgs {
    #[command(flatten)]
    what: RoleOrCapability,
    /// Where: a workspace, or * for the whole deployment
    #[arg(short, long, value_name = "ID")]
    workspace: String,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct RoleOrCapability {
    /// A role: reader, writer, admin
    #[arg(long)]
    role: Option<String>,
    /// A single capability: documents:read, users:admin, …
    #[arg(long)]
    capability: Option<String>,
}

impl WhatArgs {
    /// The same for people.
    pub(crate) fn in_words(&self) -> String {
        let RoleOrCapability { role, capability } = &self.what;
        in_words(role.as_deref(), capability.as_deref(), &self.workspace)
    }

    /// The same for the wire.
    pub(crate) fn input(self) -> GrantInput {
        let RoleOrCapability { role, capability } = self.what;
        GrantInput { role, capability, workspace: Some(self.workspace), expires: None }
    }
}

/// "role writer in research", "capability llm in the whole deployment".
pub(crate) fn in_words(role: Option<&str>, capability: Option<&str>, workspace: &str) -> String {
    format!("{} {}", what(role, capability), place(workspace))
}

fn what(role: Option<&str>, capability: Option<&str>) -> String {
    match (role, capability) {
        (Some(role), _) => format!("role {role}"),
        (None, Some(capability)) => format!("capability {capability}"),
        (None, None) => "nothing".to_owned(),
    }
}

/// A workspace, or all of them, in a sentence.
pub(crate) fn place(workspace: &str) -> String {
    match workspace {
        DEPLOYMENT => "in the whole deployment".to_owned(),
        workspace => format!("in {workspace}"),
    }
}

/// Grants, a row each.
pub(crate) fn grid(grants: &[GrantRecord]) -> String {
    if grants.is_empty() {
        return "No grants.".to_owned();
    }
    let rows = grants.iter().map(|grant| {
        [
            &grant.id,
            &*what(grant.role.as_deref(), grant.capability.as_deref()),
            &grant.workspace,
            table::or(&grant.expires, "never"),
            table::or(&grant.granted_by, "—"),
            &grant.created,
        ]
        .map(cell)
    });
    table::grid(["id", "what", "workspace", "expires", "granted by", "created"], rows)
}
