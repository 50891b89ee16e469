//! An admin of the whole deployment who comes with an API key: the first one, and the one whom a
//! restore leaves in charge.

use secrecy::{ExposeSecret, SecretString};
use tollgate_proto::ids::{GrantId, KeyId, UserId, WorkspaceId};

use crate::draw::{self, DrawError};
use crate::hash::Hash;
use crate::record::{ApiKey, Change, Grant, Role, Scope, Subject, User, What};

/// The records of an admin.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Who.
    pub user: User,
    grant: Grant,
    /// The key, of which `plaintext` is not kept anywhere.
    pub key: ApiKey,
}

impl Admin {
    /// Draws the ids of an admin whose API key is `plaintext`.
    pub fn new(
        username: String,
        key_name: &str,
        plaintext: &SecretString,
        at_ms: u64,
    ) -> Result<Self, DrawError> {
        let user = User {
            id: UserId(draw::uuid()?),
            username,
            name: "Administrator".to_owned(),
            email: String::new(),
            home: WorkspaceId::default_workspace(),
            enabled: true,
            suspended: false,
            password: None,
            must_change_password: true,
            auth_epoch: 1,
            authz_epoch: 1,
            created_ms: at_ms,
        };
        let grant = Grant {
            id: GrantId(draw::uuid()?),
            subject: Subject::User(user.id),
            what: What::Role(Role::Admin),
            scope: Scope::Deployment,
            expires_ms: None,
            granted_by: None,
            created_ms: at_ms,
        };
        let key = ApiKey {
            id: KeyId(draw::uuid()?),
            user: user.id,
            auth_epoch: user.auth_epoch,
            name: key_name.to_owned(),
            prefix: super::key::prefix(plaintext),
            hash: Hash::of(plaintext.expose_secret().as_bytes()),
            expires_ms: None,
            revoked_ms: None,
            created_ms: at_ms,
            created_by: None,
            bootstrap: false,
        };
        Ok(Self { user, grant, key })
    }

    /// What makes this admin.
    pub fn changes(self) -> [Change; 3] {
        [Change::AddUser(self.user), Change::AddGrant(self.grant), Change::AddKey(self.key)]
    }
}
