//! The vocabulary of the journal: everything that can ever happen to the state.
//!
//! A change carries all that was drawn or looked up when it was decided, so that applying it
//! reads nothing but the state.

use serde::{Deserialize, Serialize};
use tollgate_proto::ids::{GrantId, KeyId, SessionId, SocketId, UserId, WorkspaceId};
use tollgate_proto::jwt::KeyName;

use super::{
    ApiKey, Format, Grant, Password, PasswordHash, SigningKey, SigningState, Subject, User,
    Workspace,
};

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
    /// A workspace was renamed, disabled or enabled.
    SetWorkspace {
        /// Which.
        workspace: WorkspaceId,
        /// Its name from now on.
        name: String,
        /// Whether it can be used from now on.
        enabled: bool,
    },
    /// A user was made.
    AddUser(User),
    /// What is shown of a user was changed.
    SetProfile {
        /// Whose.
        user: UserId,
        /// The name from now on.
        name: String,
        /// The mail address from now on.
        email: String,
    },
    /// A user was disabled, which ends its credentials for good; or enabled, which revives none
    /// and ends a suspension.
    SetEnabled {
        /// Who.
        user: UserId,
        /// Which of the two.
        enabled: bool,
    },
    /// Sessions were bound to changing the password first, or freed from it.
    SetMustChange {
        /// Whose.
        user: UserId,
        /// Which of the two.
        must_change: bool,
    },
    /// A user was removed, with its name, grants and keys.
    RemoveUser {
        /// Who.
        user: UserId,
    },
    /// Every user was suspended and every credential ended: a backup was restored.
    Suspend {
        /// When.
        at_ms: u64,
    },
    /// A grant was given; the holder's decision epoch moves.
    AddGrant(Grant),
    /// A grant was taken away; the holder's decision epoch moves.
    RemoveGrant {
        /// From whom.
        subject: Subject,
        /// Which.
        grant: GrantId,
    },
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
    /// The same password was hashed again, under the policy of now.
    Rehash {
        /// Whose.
        user: UserId,
        /// What is kept of it from now on.
        hash: PasswordHash,
    },
    /// A session was ended before its token expires.
    EndSession {
        /// Which.
        session: SessionId,
        /// When the token expires, and the session need not be remembered any more.
        until_ms: u64,
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
    /// A signing key came to another state of its life.
    MoveSigningKey {
        /// Which.
        key: KeyName,
        /// Its state from now on.
        to: SigningState,
    },
    /// Entries are written in another format, and this one is the first.
    RaiseFormat {
        /// Which.
        to: Format,
    },
    /// All sockets of a user were closed; the user keeps its authority.
    CloseSockets {
        /// Whose.
        user: UserId,
    },
    /// A socket was closed; its user keeps its authority.
    CloseSocket {
        /// Which.
        socket: SocketId,
        /// Whose.
        user: UserId,
    },
}

impl Change {
    /// The first format whose entries may hold it.
    pub const fn since(&self) -> Format {
        match self {
            Self::RaiseFormat { .. } | Self::CloseSockets { .. } | Self::CloseSocket { .. } => {
                Format::SECOND
            }
            Self::Claim { .. }
            | Self::AddWorkspace(_)
            | Self::SetWorkspace { .. }
            | Self::AddUser(_)
            | Self::SetProfile { .. }
            | Self::SetEnabled { .. }
            | Self::SetMustChange { .. }
            | Self::RemoveUser { .. }
            | Self::Suspend { .. }
            | Self::AddGrant(_)
            | Self::RemoveGrant { .. }
            | Self::SetPassword { .. }
            | Self::Rehash { .. }
            | Self::EndSession { .. }
            | Self::AddKey(_)
            | Self::RevokeKey { .. }
            | Self::AddSigningKey(_)
            | Self::MoveSigningKey { .. } => Format::OLDEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tollgate_proto::capability::Capability;
    use uuid::Uuid;

    use super::*;
    use crate::hash::Hash;
    use crate::record::{Role, Scope, Sealed, What};

    fn user() -> User {
        User {
            id: UserId(Uuid::from_u128(1)),
            username: "Ann".to_owned(),
            name: "Ann O'Neil".to_owned(),
            email: "ann@example.com".to_owned(),
            home: WorkspaceId::default_workspace(),
            enabled: true,
            suspended: false,
            password: Some(password()),
            must_change_password: false,
            auth_epoch: 1,
            authz_epoch: 2,
            created_ms: 3,
        }
    }

    fn password() -> Password {
        Password { hash: PasswordHash("h".to_owned()), own: true, until_ms: Some(4) }
    }

    fn grant(what: What, scope: Scope) -> Grant {
        Grant {
            id: GrantId(Uuid::from_u128(5)),
            subject: Subject::User(UserId(Uuid::from_u128(1))),
            what,
            scope,
            expires_ms: None,
            granted_by: None,
            created_ms: 6,
        }
    }

    fn key() -> ApiKey {
        ApiKey {
            id: KeyId(Uuid::from_u128(7)),
            user: UserId(Uuid::from_u128(1)),
            auth_epoch: 1,
            name: "ci".to_owned(),
            prefix: "tg_abcd".to_owned(),
            hash: Hash::default(),
            expires_ms: None,
            revoked_ms: None,
            created_ms: 8,
            created_by: None,
            bootstrap: false,
        }
    }

    fn all() -> Vec<Change> {
        let home = WorkspaceId::default_workspace();
        let workspace =
            Workspace { id: home.clone(), name: "D".to_owned(), enabled: true, created_ms: 9 };
        let signing_key = SigningKey {
            name: KeyName::from_number(10),
            state: SigningState::Active,
            public: Hash::default(),
            sealed: Sealed("s".to_owned()),
            created_ms: 11,
        };
        vec![
            Change::Claim { at_ms: 12 },
            Change::AddWorkspace(workspace),
            Change::AddUser(user()),
            Change::AddGrant(grant(What::Role(Role::Admin), Scope::Deployment)),
            Change::AddGrant(grant(What::Capability(Capability::Llm), Scope::Workspace(home))),
            Change::SetPassword {
                user: UserId(Uuid::from_u128(1)),
                password: password(),
                must_change: true,
                revoke_keys: true,
                at_ms: 13,
            },
            Change::AddKey(key()),
            Change::RevokeKey { key: KeyId(Uuid::from_u128(7)), at_ms: 14 },
            Change::AddSigningKey(signing_key),
            Change::SetWorkspace {
                workspace: WorkspaceId::default_workspace(),
                name: "E".to_owned(),
                enabled: false,
            },
            Change::SetProfile {
                user: UserId(Uuid::from_u128(1)),
                name: "Ann".to_owned(),
                email: String::new(),
            },
            Change::SetEnabled { user: UserId(Uuid::from_u128(1)), enabled: false },
            Change::SetMustChange { user: UserId(Uuid::from_u128(1)), must_change: true },
            Change::RemoveUser { user: UserId(Uuid::from_u128(1)) },
            Change::AddUser(User { suspended: true, ..user() }),
            Change::Suspend { at_ms: 15 },
            Change::RemoveGrant {
                subject: Subject::User(UserId(Uuid::from_u128(1))),
                grant: GrantId(Uuid::from_u128(5)),
            },
            Change::Rehash {
                user: UserId(Uuid::from_u128(1)),
                hash: PasswordHash("h2".to_owned()),
            },
            Change::EndSession { session: SessionId(Uuid::from_u128(16)), until_ms: 17, at_ms: 16 },
            Change::MoveSigningKey { key: KeyName::from_number(10), to: SigningState::Retired(18) },
            Change::RaiseFormat { to: Format::SECOND },
            Change::CloseSockets { user: UserId(Uuid::from_u128(1)) },
            Change::CloseSocket {
                socket: SocketId(Uuid::from_u128(19)),
                user: UserId(Uuid::from_u128(1)),
            },
        ]
    }

    /// Journals that exist are read for ever: what stands here may grow and never change.
    #[test]
    fn the_text_of_every_change_stays_as_it_is() {
        let lines: Vec<_> = all().iter().map(|c| serde_json::to_string(c).unwrap()).collect();
        let expect = expect![[r#"
            {"claim":{"at_ms":12}}
            {"add-workspace":{"id":"default","name":"D","enabled":true,"created_ms":9}}
            {"add-user":{"id":"00000000-0000-0000-0000-000000000001","username":"Ann","name":"Ann O'Neil","email":"ann@example.com","home":"default","enabled":true,"password":{"hash":"h","own":true,"until_ms":4},"must_change_password":false,"auth_epoch":1,"authz_epoch":2,"created_ms":3}}
            {"add-grant":{"id":"00000000-0000-0000-0000-000000000005","subject":{"user":"00000000-0000-0000-0000-000000000001"},"what":{"role":"admin"},"scope":"deployment","expires_ms":null,"granted_by":null,"created_ms":6}}
            {"add-grant":{"id":"00000000-0000-0000-0000-000000000005","subject":{"user":"00000000-0000-0000-0000-000000000001"},"what":{"capability":"llm"},"scope":{"workspace":"default"},"expires_ms":null,"granted_by":null,"created_ms":6}}
            {"set-password":{"user":"00000000-0000-0000-0000-000000000001","password":{"hash":"h","own":true,"until_ms":4},"must_change":true,"revoke_keys":true,"at_ms":13}}
            {"add-key":{"id":"00000000-0000-0000-0000-000000000007","user":"00000000-0000-0000-0000-000000000001","auth_epoch":1,"name":"ci","prefix":"tg_abcd","hash":"0000000000000000000000000000000000000000000000000000000000000000","expires_ms":null,"revoked_ms":null,"created_ms":8,"created_by":null,"bootstrap":false}}
            {"revoke-key":{"key":"00000000-0000-0000-0000-000000000007","at_ms":14}}
            {"add-signing-key":{"name":"000000000000000a","state":"active","public":"0000000000000000000000000000000000000000000000000000000000000000","sealed":"s","created_ms":11}}
            {"set-workspace":{"workspace":"default","name":"E","enabled":false}}
            {"set-profile":{"user":"00000000-0000-0000-0000-000000000001","name":"Ann","email":""}}
            {"set-enabled":{"user":"00000000-0000-0000-0000-000000000001","enabled":false}}
            {"set-must-change":{"user":"00000000-0000-0000-0000-000000000001","must_change":true}}
            {"remove-user":{"user":"00000000-0000-0000-0000-000000000001"}}
            {"add-user":{"id":"00000000-0000-0000-0000-000000000001","username":"Ann","name":"Ann O'Neil","email":"ann@example.com","home":"default","enabled":true,"suspended":true,"password":{"hash":"h","own":true,"until_ms":4},"must_change_password":false,"auth_epoch":1,"authz_epoch":2,"created_ms":3}}
            {"suspend":{"at_ms":15}}
            {"remove-grant":{"subject":{"user":"00000000-0000-0000-0000-000000000001"},"grant":"00000000-0000-0000-0000-000000000005"}}
            {"rehash":{"user":"00000000-0000-0000-0000-000000000001","hash":"h2"}}
            {"end-session":{"session":"00000000-0000-0000-0000-000000000010","until_ms":17,"at_ms":16}}
            {"move-signing-key":{"key":"000000000000000a","to":{"retired":18}}}
            {"raise-format":{"to":2}}
            {"close-sockets":{"user":"00000000-0000-0000-0000-000000000001"}}
            {"close-socket":{"socket":"00000000-0000-0000-0000-000000000013","user":"00000000-0000-0000-0000-000000000001"}}"#]];
        expect.assert_eq(&lines.join("\n"));
        for (change, line) in all().iter().zip(&lines) {
            assert_eq!(&serde_json::from_str::<Change>(line).unwrap(), change);
        }
    }
}
