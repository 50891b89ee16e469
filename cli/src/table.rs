//! Records as tables, in the layout that scripts of TrustGraph's command line know.
//!
//! In: records. Out: text. Never: control characters or line ends of others, which would break
//! a table or a terminal.

use comfy_table::presets::{ASCII_FULL_CONDENSED, NOTHING};
use comfy_table::{LineStyle, Table};
use tollgate_proto::iam::{ApiKeyRecord, UserRecord, WorkspaceRecord};

use crate::output::cell;

/// Users, a row each.
pub(crate) fn users(users: &[UserRecord]) -> String {
    if users.is_empty() {
        return "No users.".to_owned();
    }
    let rows = users.iter().map(|user| {
        [
            &user.id,
            &user.username,
            &user.name,
            &*user.roles.join(", "),
            yes_no(user.enabled),
            yes_no(user.must_change_password),
        ]
        .map(cell)
    });
    grid(["id", "username", "name", "roles", "enabled", "change-pw"], rows)
}

/// Workspaces, a row each.
pub(crate) fn workspaces(workspaces: &[WorkspaceRecord]) -> String {
    if workspaces.is_empty() {
        return "No workspaces.".to_owned();
    }
    let rows = workspaces.iter().map(|workspace| {
        [&workspace.id, &workspace.name, yes_no(workspace.enabled), &workspace.created].map(cell)
    });
    grid(["id", "name", "enabled", "created"], rows)
}

/// API keys, a row each.
pub(crate) fn api_keys(keys: &[ApiKeyRecord]) -> String {
    if keys.is_empty() {
        return "No keys.".to_owned();
    }
    let rows = keys.iter().map(|key| {
        [
            &key.id,
            &key.name,
            &key.prefix,
            &key.created,
            or(&key.last_used, "—"),
            or(&key.expires, "never"),
        ]
        .map(cell)
    });
    grid(["id", "name", "prefix", "created", "last used", "expires"], rows)
}

/// One user, a line a field.
pub(crate) fn user(user: &UserRecord) -> String {
    // Servers of another version fill in one of the two only.
    let workspace = or(&user.default_workspace, &user.workspace);
    pairs(&[
        ("id", &user.id),
        ("username", &user.username),
        ("name", &user.name),
        ("email", &user.email),
        ("workspace", workspace),
        ("roles", &user.roles.join(", ")),
        ("enabled", yes_no(user.enabled)),
        ("must change password", yes_no(user.must_change_password)),
        ("created", &user.created),
    ])
}

/// One workspace, a line a field.
pub(crate) fn workspace(workspace: &WorkspaceRecord) -> String {
    pairs(&[
        ("id", &workspace.id),
        ("name", &workspace.name),
        ("enabled", yes_no(workspace.enabled)),
        ("created", &workspace.created),
    ])
}

/// Rows under names.
pub(crate) fn grid<const N: usize>(
    names: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let rule = LineStyle::new('+', '-', '+', '+');
    let mut table = Table::new();
    table.load_style(ASCII_FULL_CONDENSED.header_separator(rule));
    table.set_header(names).add_rows(rows);
    table.to_string()
}

/// Names and values, one pair a line.
fn pairs(rows: &[(&str, &str)]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    for (name, value) in rows {
        table.add_row([*name, &cell(value)]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A value, or what stands for none.
pub(crate) fn or<'a>(value: &'a str, none: &'a str) -> &'a str {
    if value.is_empty() { none } else { value }
}

/// A flag for people.
pub(crate) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
