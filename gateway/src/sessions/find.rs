//! What IAM asks about the sockets that are here.

use std::collections::HashSet;
use std::sync::Arc;

use tollgate_proto::iam::{About, Ask, Found, LiveSocket, Moved};
use tollgate_proto::ids::UserId;
use uuid::Uuid;

use super::told::{Concerned, concerned, word};
use super::{Held, Holder, Sessions};

impl Sessions {
    /// Finds the sockets that are meant.
    pub(crate) fn find(&self, ask: &Ask) -> Found {
        let sockets = match &ask.about {
            About::Moved(moved) => {
                let count = self.count_concerned(moved);
                return Found { ask: ask.id, count, sockets: Vec::new() };
            }
            About::User(user) => self.sockets(Some(*user), |_| true),
            About::Workspace(workspace) => {
                self.sockets(None, |socket| socket.workspace == *workspace)
            }
            About::Socket(id) => self.sockets(None, |socket| socket.id == *id),
        };
        let count = sockets.len() as u64;
        let sockets = sockets.into_iter().take(Found::MOST).collect();
        Found { ask: ask.id, count, sockets }
    }

    /// Those of a user, or of everybody.
    fn sockets(
        &self,
        of: Option<UserId>,
        is_meant: impl Fn(&LiveSocket) -> bool,
    ) -> Vec<LiveSocket> {
        let holders = self.holders();
        let of_some: Vec<_> = match of {
            Some(user) => holders.get_key_value(&user).into_iter().collect(),
            None => holders.iter().collect(),
        };
        let own = of_some.into_iter().flat_map(|(user, holders)| {
            // Minters have those whom they minted beside their own.
            holders.iter().filter(move |holder| holder.identity.actor.user == *user)
        });
        own.filter_map(live).filter(is_meant).collect()
    }

    fn count_concerned(&self, moved: &[Moved]) -> u64 {
        let holders = self.holders();
        let mut concerned_by_any = HashSet::new();
        for moved in moved {
            let all: Vec<&Holder> = match concerned(moved) {
                Concerned::Only(user) => holders.get(&user).into_iter().flatten().collect(),
                Concerned::Anybody => holders.values().flatten().collect(),
                Concerned::Nobody => Vec::new(),
            };
            let is_concerned = |holder: &&Holder| {
                matches!(holder.held, Held::BySocket { .. }) && word(holder, moved).is_some()
            };
            let named = all.into_iter().filter(is_concerned);
            concerned_by_any.extend(named.map(|holder| Arc::as_ptr(&holder.note)));
        }
        concerned_by_any.len() as u64
    }
}

/// What is told of a holder, if it is a socket.
fn live(holder: &Holder) -> Option<LiveSocket> {
    let Held::BySocket { id, client } = &holder.held else { return None };
    Some(LiveSocket {
        id: *id,
        user: holder.identity.actor.user,
        credential: holder.identity.actor.credential,
        workspace: holder.identity.default_workspace.clone(),
        address: client.address.clone(),
        opened_ms: made_at_ms(id.0),
    })
}

/// When an id was drawn: one of version 7 says so.
fn made_at_ms(id: Uuid) -> u64 {
    let (seconds, nanos) = id.get_timestamp().map(|at| at.to_unix()).unwrap_or_default();
    seconds * 1_000 + u64::from(nanos / 1_000_000)
}
