//! Records for tests of what is done with them.

use tollgate_proto::ids::{UserId, WorkspaceId};
use uuid::Uuid;

use super::User;

/// A user who has never been changed, and has no password.
pub(crate) fn user(id: u128, username: &str) -> User {
    User {
        id: UserId(Uuid::from_u128(id)),
        username: username.to_owned(),
        name: String::new(),
        email: String::new(),
        home: WorkspaceId::default_workspace(),
        enabled: true,
        suspended: false,
        password: None,
        must_change_password: false,
        auth_epoch: 1,
        authz_epoch: 1,
        created_ms: 0,
    }
}
