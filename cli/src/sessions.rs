//! Sockets that are open, as a table.

use tollgate_proto::iam::{Reply, SessionRecord};

use crate::iam::Shown;
use crate::manner::missing;
use crate::output::cell;
use crate::table;

/// What a reply tells of sockets.
pub(crate) fn shown(reply: &Reply) -> Shown {
    let shown = Shown::data(grid(&reply.sessions));
    let Some(survey) = reply.survey else { return shown };
    let shown = match missing(&survey) {
        Some(words) => shown.note(words),
        None => shown,
    };
    if survey.is_cut { shown.note("There are more, for which there was no room.") } else { shown }
}

/// A row each.
fn grid(sessions: &[SessionRecord]) -> String {
    if sessions.is_empty() {
        return "No sessions.".to_owned();
    }
    let rows = sessions.iter().map(|session| {
        [
            &session.id,
            table::or(&session.username, &session.user_id),
            &session.workspace,
            &session.credential,
            table::or(&session.address, "—"),
            &session.opened,
        ]
        .map(cell)
    });
    table::grid(["id", "user", "workspace", "credential", "address", "opened"], rows)
}
