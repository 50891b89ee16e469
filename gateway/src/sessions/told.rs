//! What the feed has to say to one holder of an identity.

use std::collections::HashMap;
use std::convert::Infallible;

use tokio::sync::mpsc;
use tollgate_proto::iam::{Actor, Credential, Moved};
use tollgate_proto::ids::{Seq, UserId};

use super::{Held, Holder};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    /// Something has moved that it rests on: IAM must be asked.
    Suspect,
    /// Its socket is to be closed, and it keeps its authority.
    Closed,
    /// Its authority has ended.
    Ended,
}

/// A word, and the entry that it follows from. The feed waits a little until it is dropped.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) word: Word,
    /// None: an entry of before the holder was here, of which nothing is counted.
    pub(super) seq: Option<Seq>,
    pub(super) _settles: Option<mpsc::Sender<Infallible>>,
}

/// Those whom a move concerns, and what it means to each.
pub(super) fn concerned<'a>(
    holders: &'a HashMap<UserId, Vec<Holder>>,
    moved: &'a Moved,
) -> impl Iterator<Item = (&'a Holder, Word)> {
    let (of_user, of_all) = match reach(moved) {
        Reach::User(user) => (holders.get(&user), None),
        Reach::Everybody => (None, Some(holders.values())),
        Reach::Nobody => (None, None),
    };
    let reached = of_user.into_iter().chain(of_all.into_iter().flatten()).flatten();
    reached.filter_map(|holder| word(holder, moved).map(|word| (holder, word)))
}

/// Among whom a move can concern anybody.
enum Reach {
    User(UserId),
    Everybody,
    Nobody,
}

fn reach(moved: &Moved) -> Reach {
    match moved {
        Moved::Credential { user: Some(id), .. }
        | Moved::Session { user: Some(id), .. }
        | Moved::UserAuth { id, .. }
        | Moved::UserAuthz { id, .. }
        | Moved::Sockets { user: id }
        | Moved::Socket { user: id, .. } => Reach::User(*id),
        Moved::Credential { user: None, .. }
        | Moved::Session { user: None, .. }
        | Moved::Workspace { disabled: true, .. }
        | Moved::SigningKey { .. }
        | Moved::Deployment {} => Reach::Everybody,
        // What it gives is asked for with the next call.
        Moved::Workspace { disabled: false, .. } => Reach::Nobody,
    }
}

/// What a move means to a holder.
fn word(holder: &Holder, moved: &Moved) -> Option<Word> {
    let actor = &holder.identity.actor;
    let (session, minter) = match actor.credential {
        Credential::Key(_) => (None, None),
        Credential::Session(session) => (Some(session), None),
        Credential::Minted { session, by, epoch } => (Some(session), Some((by, epoch))),
    };
    match moved {
        Moved::Credential { id, .. } => {
            (actor.credential == Credential::Key(*id)).then_some(Word::Ended)
        }
        Moved::Session { id, .. } => {
            session.is_some_and(|session| session.id == *id).then_some(Word::Ended)
        }
        Moved::UserAuth { id, epoch } if *id == actor.user => {
            // A key may have moved on with its owner.
            let is_over = epoch.is_none_or(|epoch| session.is_some() && actor.auth_epoch < epoch);
            Some(if is_over { Word::Ended } else { Word::Suspect })
        }
        Moved::UserAuth { id, epoch } => {
            let of_minter = minter.filter(|(by, _)| by == id);
            of_minter.map(|(_, minted)| match epoch {
                Some(epoch) if *epoch <= minted => Word::Suspect,
                Some(_) | None => Word::Ended,
            })
        }
        Moved::UserAuthz { id, .. } => (*id == actor.user).then_some(Word::Suspect),
        Moved::SigningKey { id } => {
            session.is_some_and(|session| session.signed_by == *id).then_some(Word::Suspect)
        }
        Moved::Workspace { disabled, .. } => disabled.then_some(Word::Suspect),
        Moved::Deployment {} => Some(Word::Suspect),
        Moved::Sockets { user } => match &holder.held {
            Held::BySocket { .. } if *user == actor.user => Some(Word::Closed),
            Held::BySocket { .. } | Held::ByRequest => None,
        },
        Moved::Socket { id, user } => match &holder.held {
            Held::BySocket { id: this, .. } if this == id && *user == actor.user => {
                Some(Word::Closed)
            }
            Held::BySocket { .. } | Held::ByRequest => None,
        },
    }
}

/// The users whose moves concern an actor.
pub(super) fn users_of(actor: &Actor) -> impl Iterator<Item = UserId> {
    let minter = match actor.credential {
        Credential::Minted { by, .. } => Some(by).filter(|by| *by != actor.user),
        Credential::Key(_) | Credential::Session(_) => None,
    };
    [Some(actor.user), minter].into_iter().flatten()
}
