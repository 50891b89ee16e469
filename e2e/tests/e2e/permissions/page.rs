//! The matrix as a page for people.

use std::fmt::Write;

use super::Line;
use super::cell::Role;
use super::form::Way;

const HEAD: &str = "\
# Permissions

Who may do what, as clients see it. Each cell was probed on a running Tollgate, over `POST /api/v1/iam` and over a
socket; two outcomes with `/` between them are those of HTTP and of the socket, where they differ.

Who asks, all at home in one workspace (their *own*):

- *nobody*: no credential. *ended*: the old key of an admin who was disabled. *bound*: an admin's session whose
  password is temporary. *minted*: a token that was minted for an admin.
- *reader*, *writer*: the roles. *manager*: a reader who also has `users:read`, `users:write`, `users:admin`,
  `keys:admin`, `workspaces:admin` and `iam:admin`, in the own workspace alone. *admin*: the role.

What it is about:

- *own*: oneself, or the own workspace. *other*: a reader of the own workspace. *off*: one who is disabled. *above*: an
  admin at home there. *foreign*: another workspace, or a reader at home in it. *shut*: a workspace that is disabled, or
  a reader at home in it. *ghost*: what does not exist.

The outcomes: `ok`; `401` and `403`, which say nothing more; `404` and `503` of the gateway; or the type of IAM's error.
";

const FOOT: &str = "\n(Made by `UPDATE_EXPECT=1 cargo test -p tollgate-e2e permission`.)\n";

pub(super) fn write(lines: &[Line]) -> String {
    let mut page = String::from(HEAD);
    let mut section = "";
    for line in lines {
        if line.section != section {
            section = line.section;
            let roles: Vec<_> = Role::ALL.iter().map(|role| role.label()).collect();
            let rule = "---|".repeat(roles.len() + 2);
            let roles = roles.join(" | ");
            let _ = write!(page, "\n## {section}\n\n| operation | target | {roles} |\n|{rule}\n");
        }
        let _ = writeln!(page, "| {} | {} | {} |", name(line), line.target.label(), cells(line));
    }
    page + FOOT
}

fn name(line: &Line) -> String {
    let form = line.form;
    let mut name = match form.way {
        Way::Iam | Way::Unclaimed => format!("`{}`", form.operation),
        Way::Path(path) => format!("`POST {path}`"),
    };
    if !form.detail.is_empty() {
        let _ = write!(name, ", {}", form.detail);
    }
    name
}

fn cells(line: &Line) -> String {
    let cell = |role: &Role| {
        let found = line.cells.iter().find(|(of, _)| of == role);
        found.map_or_else(|| "–".to_owned(), |(_, cell)| cell.to_string())
    };
    Role::ALL.iter().map(cell).collect::<Vec<_>>().join(" | ")
}
