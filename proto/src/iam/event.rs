//! What gateways are told when authority ends or moves: the events of the feed.

use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, KeyName, Seq, SessionId, SocketId, UserId, WorkspaceId};

/// One event. Events of one entry carry its `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The entry that it follows from.
    pub seq: Seq,
    /// What moved.
    #[serde(flatten)]
    pub moved: Moved,
}

/// What moved. Whatever was known of it before is asked again, or has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Moved {
    /// An API key ended.
    Credential {
        /// Which.
        id: KeyId,
        /// Whose; anybody's, if that is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
    /// A session ended.
    Session {
        /// Which.
        id: SessionId,
        /// Whose; anybody's, if that is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
    /// A user's credentials of earlier epochs ended. An API key may have moved on with the user:
    /// `revalidate` tells.
    UserAuth {
        /// Whose.
        id: UserId,
        /// The epoch of those that are good; none, if the user is gone.
        epoch: Option<u64>,
    },
    /// Decisions on a user under earlier epochs are void.
    UserAuthz {
        /// Whose.
        id: UserId,
        /// The epoch of those that are good; none, if the user is gone.
        epoch: Option<u64>,
    },
    /// A workspace came to be, or was renamed, disabled or enabled.
    Workspace {
        /// Which.
        id: WorkspaceId,
        /// Whether that took authority away.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        disabled: bool,
    },
    /// A signing key came to be, or came to another state: the key set is to be read again.
    SigningKey {
        /// Its `kid`.
        id: KeyName,
    },
    /// Everything that was known is void.
    Deployment {},
    /// All sockets of a user are to be closed. No authority has moved.
    Sockets {
        /// Whose.
        user: UserId,
    },
    /// A socket is to be closed. No authority has moved.
    Socket {
        /// Which.
        id: SocketId,
        /// Whose.
        user: UserId,
    },
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let user = UserId(Uuid::from_u128(1));
        let check = |moved, expect: &str| {
            let event = Event { seq: Seq(7), moved };
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(text, expect);
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        };
        check(
            Moved::UserAuth { id: user, epoch: Some(3) },
            r#"{"seq":7,"kind":"user-auth","id":"00000000-0000-0000-0000-000000000001","epoch":3}"#,
        );
        check(
            Moved::Workspace { id: WorkspaceId::default_workspace(), disabled: false },
            r#"{"seq":7,"kind":"workspace","id":"default"}"#,
        );
        check(Moved::Deployment {}, r#"{"seq":7,"kind":"deployment"}"#);
    }
}
