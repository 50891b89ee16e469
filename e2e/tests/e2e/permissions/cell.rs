//! A cell of the matrix: who asks, and what comes of it.

use std::fmt;

/// Who asks: a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Nobody,
    Ended,
    Bound,
    Minted,
    Reader,
    Writer,
    Manager,
    Admin,
}

impl Role {
    pub(super) const ALL: &[Self] = &[
        Self::Nobody,
        Self::Ended,
        Self::Bound,
        Self::Minted,
        Self::Reader,
        Self::Writer,
        Self::Manager,
        Self::Admin,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Ended => "ended",
            Self::Bound => "bound",
            Self::Minted => "minted",
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Manager => "manager",
            Self::Admin => "admin",
        }
    }

    /// Whether its credential is taken.
    pub(super) fn is_somebody(self) -> bool {
        !matches!(self, Self::Nobody | Self::Ended)
    }

    /// What it is at home.
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::Nobody | Self::Reader | Self::Manager => "reader",
            Self::Writer => "writer",
            Self::Ended | Self::Bound | Self::Minted | Self::Admin => "admin",
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) http: String,
    /// None where there is no such request over a socket.
    pub(super) socket: Option<String>,
}

impl Cell {
    pub(super) fn is(&self, outcome: &str) -> bool {
        self.both().all(|this| this == outcome)
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.both().any(|this| this == "ok")
    }

    pub(super) fn is_refused(&self) -> bool {
        self.both().any(|this| this == "401" || this == "403")
    }

    fn both(&self) -> impl Iterator<Item = &str> {
        [Some(&*self.http), self.socket.as_deref()].into_iter().flatten()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) if *socket != self.http => write!(f, "{}/{socket}", self.http),
            Some(_) | None => f.write_str(&self.http),
        }
    }
}
