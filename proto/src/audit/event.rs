//! The closed set of events that IAM writes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum Event { $($(#[$doc])* $variant,)* }

        impl Event {
            /// Every event, in the order of the table.
            pub const ALL: &[Event] = &[$(Event::$variant,)*];

            /// The name in the file.
            pub const fn as_str(self) -> &'static str {
                match self { $(Event::$variant => $name,)* }
            }
        }

        impl FromStr for Event {
            type Err = UnknownEvent;
            fn from_str(text: &str) -> Result<Self, UnknownEvent> {
                match text {
                    $($name => Ok(Event::$variant),)*
                    other => Err(UnknownEvent(other.to_owned())),
                }
            }
        }
    };
}

/// A text that names no event of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown event {0:?}")]
pub struct UnknownEvent(String);

events! {
    /// The deployment was claimed, or seeded.
    BootstrapOk = "bootstrap.ok",
    /// Somebody tried to claim it and was refused.
    BootstrapRefused = "bootstrap.refused",
    /// A user was made.
    UserCreate = "user.create",
    /// What is kept of a user was changed.
    UserUpdate = "user.update",
    /// A user was enabled.
    UserEnable = "user.enable",
    /// A user was disabled.
    UserDisable = "user.disable",
    /// A user was removed.
    UserDelete = "user.delete",
    /// A password was changed by its owner.
    PasswordChange = "password.change",
    /// A password was replaced by somebody else.
    PasswordReset = "password.reset",
    /// A password was hashed again at a login.
    PasswordRehash = "password.rehash",
    /// An API key was made.
    KeyCreate = "key.create",
    /// An API key was ended.
    KeyRevoke = "key.revoke",
    /// A session was ended.
    SessionEnd = "session.end",
    /// Sockets were closed, and no authority ended.
    SocketClose = "socket.close",
    /// A workspace was made.
    WorkspaceCreate = "workspace.create",
    /// A workspace was renamed or enabled.
    WorkspaceUpdate = "workspace.update",
    /// A workspace was disabled.
    WorkspaceDisable = "workspace.disable",
    /// A grant was given.
    GrantAdd = "grant.add",
    /// A grant was taken away.
    GrantRemove = "grant.remove",
    /// A signing key was made.
    SigningKeyCreate = "signing-key.create",
    /// A signing key took over from another.
    SigningKeyRotate = "signing-key.rotate",
    /// A signing key was revoked.
    SigningKeyRevoke = "signing-key.revoke",
    /// A backup was restored: all authority was suspended.
    Restore = "restore",
    /// Entries are written in another format from here on.
    JournalUpgrade = "journal.upgrade",
    /// A session was opened.
    LoginOk = "login.ok",
    /// A login was refused.
    LoginFail = "login.fail",
    /// A session was minted for somebody else.
    TokenMint = "token.mint",
    /// A credential was accepted.
    AuthOk = "auth.ok",
    /// A credential or password was refused, or the actor is no longer live.
    AuthFail = "auth.fail",
    /// An attempt had to wait.
    AuthThrottled = "auth.throttled",
    /// Something that changes nothing was allowed: a management read, a decision on the deployment.
    AuthzAllow = "authz.allow",
    /// Something was denied.
    AuthzDeny = "authz.deny",
    /// Somebody who was allowed asked for what cannot be done.
    OperationRefused = "operation.refused",
    /// The audit file was opened: IAM started, or the file was moved away.
    AuditOpened = "audit.opened",
    /// The last line was cut by a crash, and removed.
    AuditRepaired = "audit.repaired",
    /// The file or its end is not what was written.
    AuditBroken = "audit.broken",
    /// Lines were lost: the queue was full, or the disk.
    AuditDropped = "audit.dropped",
    /// Entries were compacted away before they had their lines.
    AuditGap = "audit.gap",
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Event {
    type Error = UnknownEvent;
    fn try_from(text: String) -> Result<Self, UnknownEvent> {
        text.parse()
    }
}

impl From<Event> for &'static str {
    fn from(event: Event) -> Self {
        event.as_str()
    }
}
