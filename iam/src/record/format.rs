//! How entries are to be read.

use serde::{Deserialize, Serialize};

/// The number that every entry begins with. What it means never changes; a new kind of change, a
/// field, or another meaning is a new number.
///
/// A build reads every format up to its [`Format::NEWEST`] and writes the one that is in force,
/// which is the newest entry's: so it is raised by an entry, and never lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Format(u16);

/// A later build wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("format {0}, which this build does not read")]
pub struct UnknownFormat(pub u16);

impl Format {
    /// The first one. Positions that name none are of it.
    pub const OLDEST: Self = Self(1);
    /// Knows changes that close sockets and take nothing away, and that the format is raised.
    pub const SECOND: Self = Self(2);
    /// The newest that this build reads. A journal that begins is written in it.
    pub const NEWEST: Self = Self::SECOND;

    /// [`Format::OLDEST`], for positions from before there was another.
    pub(crate) const fn oldest() -> Self {
        Self::OLDEST
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl From<Format> for u16 {
    fn from(format: Format) -> Self {
        format.0
    }
}

impl TryFrom<u16> for Format {
    type Error = UnknownFormat;

    fn try_from(number: u16) -> Result<Self, UnknownFormat> {
        let format = Self(number);
        let is_known = Self::OLDEST <= format && format <= Self::NEWEST;
        is_known.then_some(format).ok_or(UnknownFormat(number))
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
