//! The user that an operation is about: found by id, on each state that is decided on.

use tollgate_proto::capability::Capability;
use tollgate_proto::ids::UserId;

use super::{Request, caller, required};
use crate::policy::{self, Action, Live};
use crate::record::{Grant, User};
use crate::refused::Refused;
use crate::state::{self, Read};

/// A user as the caller addressed it.
#[derive(Debug, Clone)]
pub(super) struct Address {
    id: UserId,
    /// Where the caller believes it at home, if it said so.
    home: Option<String>,
}

impl Address {
    /// Reads the fields `user_id` and `workspace`.
    pub(super) fn read(
        user_id: Option<String>,
        workspace: Option<String>,
    ) -> Result<Self, Refused> {
        let id = read_id(&required(user_id, "user_id")?, "user_id")?;
        Ok(Self { id, home: workspace })
    }

    /// A user whose id was read elsewhere.
    pub(super) fn of(id: UserId, home: Option<String>) -> Self {
        Self { id, home }
    }

    /// The id.
    pub(super) fn id(&self) -> UserId {
        self.id
    }

    /// The user and what it holds. That there is none is said only to those who have the capability
    /// everywhere.
    pub(super) fn find(
        &self,
        state: &dyn Read,
        live: &Live,
        request: &Request,
        capability: Capability,
    ) -> Result<Found, Refused> {
        let Some(user) = state::user(state, self.id)? else {
            policy::allow(live, &Action::SeeMissing { capability })?;
            return Err(Refused::NotFound("user not found"));
        };
        let grants = caller::unexpired(state, &user, request.now_ms)?;
        Ok(Found { user, grants })
    }

    /// What the caller said of the user's home must be so. Asked after policy: it tells something.
    pub(super) fn check_home(&self, user: &User) -> Result<(), Refused> {
        check_home(user, self.home.as_deref(), "user is in a different workspace")
    }
}

/// A user who is there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) user: User,
    pub(super) grants: Vec<Grant>,
}

impl Found {
    /// As policy takes it.
    pub(super) fn target(&self) -> policy::Target<'_> {
        policy::Target { user: &self.user, grants: &self.grants }
    }
}

/// The caller's word for where the user is at home must be right, if there is one.
pub(super) fn check_home(
    user: &User,
    said: Option<&str>,
    otherwise: &'static str,
) -> Result<(), Refused> {
    match said {
        Some(home) if home != user.home.as_str() => Err(Refused::NotPermitted(otherwise)),
        Some(_) | None => Ok(()),
    }
}

/// Reads a user's id.
pub(super) fn read_id(text: &str, field: &str) -> Result<UserId, Refused> {
    text.parse().map_err(|_| Refused::Invalid(format!("{field} must be a UUID")))
}
