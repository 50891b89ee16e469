//! Secrets on the wire: they are read into [`SecretString`] and leave it in two places only,
//! where a request is written for IAM and where a hash is made.

use std::fmt;

use secrecy::ExposeSecret;
pub use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};

/// Writes a secret into a request: for `#[serde(serialize_with = "…")]` on the fields that carry
/// one to its destination. [`SecretString`] itself cannot be serialised by accident.
pub fn expose<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

/// [`expose`] for a field that may be absent.
pub fn expose_some<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => to.serialize_some(secret.expose_secret()),
        None => to.serialize_none(),
    }
}

/// A secret in an answer that discloses it once: it travels on, and is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Disclosed(String);

impl Disclosed {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Disclosed {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Disclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[disclosed]")
    }
}
