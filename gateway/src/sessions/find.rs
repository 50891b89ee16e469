//! What IAM asks about the sockets that are here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tollgate_proto::iam::{About, Ask, Found, LiveSocket, Moved};
use tollgate_proto::ids::UserId;
use uuid::Uuid;

use super::told::concerned;
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
        let sockets = in_turns(sockets).take(Found::MOST).collect();
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
        let all = moved.iter().flat_map(|moved| concerned(&holders, moved));
        let sockets = all.filter(|(holder, _)| matches!(holder.held, Held::BySocket { .. }));
        // Many moves may concern one, and one that was minted stands under its minter too.
        let distinct: HashSet<_> = sockets.map(|(holder, _)| Arc::as_ptr(&holder.note)).collect();
        distinct.len() as u64
    }
}

/// One of each user, then another of each: where there is no room for all, one user's many hide
/// nobody, also from an admin who is to see only others.
fn in_turns(sockets: Vec<LiveSocket>) -> impl Iterator<Item = LiveSocket> {
    let mut turns: HashMap<UserId, usize> = HashMap::new();
    let with_turn = sockets.into_iter().map(|socket| {
        let turn = turns.entry(socket.user).or_default();
        *turn += 1;
        (*turn, socket)
    });
    let mut sockets: Vec<_> = with_turn.collect();
    sockets.sort_by_key(|(turn, _)| *turn);
    sockets.into_iter().map(|(_, socket)| socket)
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

#[cfg(test)]
mod tests {
    use tollgate_proto::iam::Credential;
    use tollgate_proto::ids::{KeyId, SocketId};

    use super::*;

    #[test]
    fn where_not_all_have_room_everybody_has_some() {
        let socket = |user: u128, number: u128| LiveSocket {
            id: SocketId(Uuid::from_u128(user * 1_000 + number)),
            user: UserId(Uuid::from_u128(user)),
            credential: Credential::Key(KeyId(Uuid::from_u128(user))),
            workspace: "acme".parse().unwrap(),
            address: None,
            opened_ms: 0,
        };
        let many = (0..420).map(|number| socket(1, number));
        let few = (0..2).map(|number| socket(2, number));
        let found = in_turns(many.chain(few).collect()).take(Found::MOST);
        let of_few: Vec<_> = found.filter(|socket| socket.user.0.as_u128() == 2).collect();
        assert_eq!(of_few, [socket(2, 0), socket(2, 1)]);
    }
}
