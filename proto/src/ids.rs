//! Names and ids that cannot be wrong once made.
//!
//! In: text from a wire, a file or a flag. Out: a newtype whose rules hold.
//! Never: a look-up. A well-formed id may still name nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not the id it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
}

/// The name of a workspace: 1–64 of `[A-Za-z0-9._-]`, the first alphanumeric, without `..`.
///
/// Compared exactly. IAM keeps names unique by their case-folded form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct WorkspaceId(Arc<str>);

impl WorkspaceId {
    /// The workspace that every deployment starts with.
    pub fn default_workspace() -> Self {
        Self("default".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkspaceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let valid = (1..=64).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && !text.contains("..");
        if valid {
            return Ok(Self(text.into()));
        }
        Err(InvalidId {
            what: "a workspace id",
            rule: "1 to 64 of A-Z a-z 0-9 . _ - beginning with a letter or digit, without '..'",
        })
    }
}

/// The name of a flow inside a workspace: 1–128 bytes without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct FlowId(Arc<str>);

impl FlowId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FlowId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=128).contains(&text.len()) && !text.chars().any(char::is_control) {
            return Ok(Self(text.into()));
        }
        Err(InvalidId { what: "a flow id", rule: "1 to 128 bytes without control characters" })
    }
}

/// Text conversions and redaction-free formatting shared by the text ids.
macro_rules! text_id {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}
text_id!(WorkspaceId, FlowId);

/// An id that is a UUID of one kind of thing and of no other.
macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident = $what:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { what: $what, rule: "a UUID" })
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
uuid_id! {
    /// A user. Its text is what the wire calls handle, actor, principal and `sub`.
    UserId = "a user id",
    /// The record of an API key; never the key.
    KeyId = "an API key id",
    /// One login session: the `jti` of its token.
    SessionId = "a session id",
    /// One journal. A restored deployment has another, and is the `aud` of every token.
    JournalId = "a journal id",
    /// One operation, named by who asked for it, so that asking twice does it once.
    OperationId = "an operation id",
    /// One grant.
    GrantId = "a grant id",
    /// One gateway process, from its start to its end.
    GatewayId = "a gateway id",
    /// One socket of a gateway: what `auth-ok` calls `session`.
    SocketId = "a session id",
    /// One question to every gateway.
    AskId = "an id of a question",
}

/// A position in the journal; 0 is before the first entry.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a signing key: 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName([u8; 16]);

impl KeyName {
    /// The name that a random number gives.
    pub fn from_number(number: u64) -> Self {
        let mut digits = [0; 16];
        for (digit, byte) in digits.iter_mut().zip(format!("{number:016x}").bytes()) {
            *digit = byte;
        }
        Self(digits)
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 16] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(digits))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for KeyName {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a key name has 16 digits of 0-9a-f")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_ids_are_checked() {
        for good in ["default", "a", "0", "Team-1.eu_west", &"x".repeat(64)] {
            assert!(good.parse::<WorkspaceId>().is_ok(), "{good}");
        }
        for bad in ["", "_x", ".x", "-x", "a..b", "a/b", "a:b", "a b", "é", "*", &"x".repeat(65)] {
            assert!(bad.parse::<WorkspaceId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn flow_ids_are_checked() {
        assert!("default".parse::<FlowId>().is_ok());
        for bad in ["", "a\nb", &"x".repeat(129)] {
            assert!(bad.parse::<FlowId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_id_in_json_is_an_error_and_not_a_value() {
        assert!(serde_json::from_str::<WorkspaceId>("\"a/b\"").is_err());
        assert!(serde_json::from_str::<UserId>("\"7\"").is_err());
    }
}
