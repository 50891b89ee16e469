//! The vocabulary of the journal: everything that can ever happen to the state.
//!
//! A change carries all that was drawn or looked up when it was decided, so that applying it
//! reads nothing but the state.

use serde::{Deserialize, Serialize};
use tollgate_proto::ids::{KeyId, UserId};

use super::{ApiKey, Grant, Password, SigningKey, User, Workspace};

/// One change. What follows from it, like an epoch that moves, is not said here: `state` knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The deployment has its first admin. Happens once.
    Claim {
        /// When.
        at_ms: u64,
    },
    /// A workspace was made.
    AddWorkspace(Workspace),
    /// A user was made.
    AddUser(User),
    /// A grant was given; the holder's decision epoch moves.
    AddGrant(Grant),
    /// A password was set; the owner's credential epoch moves, which ends all sessions.
    SetPassword {
        /// Whose.
        user: UserId,
        /// The new one.
        password: Password,
        /// Whether sessions may do no more than change it again.
        must_change: bool,
        /// Whether live API keys end too; else they move on to the new epoch.
        revoke_keys: bool,
        /// When.
        at_ms: u64,
    },
    /// An API key was made.
    AddKey(ApiKey),
    /// An API key ended.
    RevokeKey {
        /// Which.
        key: KeyId,
        /// When.
        at_ms: u64,
    },
    /// A signing key was made.
    AddSigningKey(SigningKey),
}
