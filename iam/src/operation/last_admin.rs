//! There is always an admin who can get in: whoever has the role on the whole deployment without
//! an end, is live, and has a key without an end or a password of its own choice.

use tollgate_proto::ids::{GrantId, KeyId};

use crate::policy;
use crate::record::{ApiKey, Grant, Role, Scope, Subject, User, What};
use crate::refused::Refused;
use crate::state::{self, Read, StateError};

/// A user with all that could make it an admin who can get in.
#[derive(Debug, Clone)]
pub(super) struct Account {
    user: User,
    grants: Vec<Grant>,
    keys: Vec<ApiKey>,
}

impl Account {
    /// As it is.
    pub(super) fn of(state: &dyn Read, user: &User) -> Result<Self, StateError> {
        Ok(Self {
            grants: state::grants_of(state, Subject::User(user.id))?,
            keys: state::keys_of(state, user.id)?,
            user: user.clone(),
        })
    }

    /// Without one of its keys.
    pub(super) fn without_key(mut self, key: KeyId) -> Self {
        self.keys.retain(|other| other.id != key);
        self
    }

    /// Without some of its grants.
    pub(super) fn without_grants(mut self, grants: &[GrantId]) -> Self {
        self.grants.retain(|other| !grants.contains(&other.id));
        self
    }

    /// With more grants.
    pub(super) fn with_grants(mut self, grants: &[Grant]) -> Self {
        self.grants.extend_from_slice(grants);
        self
    }

    /// With a password that somebody else knows, or that ends.
    pub(super) fn without_own_password(mut self) -> Self {
        self.user.password = None;
        self
    }

    /// Refuses a change that would take the last admin's way in away. `after` is the account as
    /// the change leaves it, or none if it is gone or shut.
    pub(super) fn check_change(
        &self,
        state: &dyn Read,
        after: Option<&Self>,
        now_ms: u64,
    ) -> Result<(), Refused> {
        let counts = |account: &Self| account.is_admin(now_ms);
        if !counts(self) || after.is_some_and(counts) {
            return Ok(());
        }
        for holder in state::deployment_holders(state)? {
            let Some(other) = state::user(state, holder)? else { continue };
            if other.id != self.user.id && counts(&Self::of(state, &other)?) {
                return Ok(());
            }
        }
        Err(Refused::NotPermitted("it would take away the last admin who can get in"))
    }

    fn is_admin(&self, now_ms: u64) -> bool {
        let Self { user, grants, keys } = self;
        let holds = |grant: &Grant| {
            grant.what == What::Role(Role::Admin)
                && grant.scope == Scope::Deployment
                && grant.expires_ms.is_none()
        };
        let opens =
            |key: &ApiKey| key.expires_ms.is_none() && policy::is_key_live(key, user, now_ms);
        user.is_live()
            && grants.iter().any(holds)
            && (user.password.as_ref().is_some_and(|password| password.own)
                || keys.iter().any(opens))
    }
}
