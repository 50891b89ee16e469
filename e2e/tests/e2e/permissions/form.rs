//! What is asked: an operation with its arguments, about a target.

use serde_json::Value;

/// What a request is about, as a relation to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// Nothing in particular.
    Nothing,
    /// Oneself, or the own workspace.
    Own,
    /// Another user of the own workspace.
    Other,
    /// A user of the own workspace who is an admin.
    Above,
    /// A user of the own workspace who is disabled.
    Off,
    /// Another workspace, or a user at home there.
    Foreign,
    /// A workspace that is disabled, or a user at home there.
    Shut,
    /// What does not exist.
    Ghost,
}

impl Target {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Nothing => "–",
            Self::Own => "own",
            Self::Other => "other",
            Self::Above => "above",
            Self::Off => "off",
            Self::Foreign => "foreign",
            Self::Shut => "shut",
            Self::Ghost => "ghost",
        }
    }

    /// The workspace that is meant, or where the user is at home.
    pub(super) fn workspace(self) -> &'static str {
        match self {
            Self::Nothing | Self::Own | Self::Other | Self::Above | Self::Off => "acme",
            Self::Foreign => "umbrella",
            Self::Shut => "shut",
            Self::Ghost => "ghost",
        }
    }
}

/// A target, with what a request says of it.
pub(super) struct Subject {
    /// A user's id.
    pub(super) id: String,
    /// The id of one of its keys.
    pub(super) key_id: String,
    /// Its name.
    pub(super) username: String,
    /// The workspace.
    pub(super) workspace: &'static str,
    /// The id of a socket of that user, if one is held for the question.
    pub(super) session_id: String,
    /// A name that nothing has yet.
    pub(super) unused: String,
}

/// What an operation leaves behind when it is allowed, and is put right before the next probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Nothing that another probe would notice.
    Nothing,
    /// The socket of the one who asked is closed.
    ClosedSocket,
    /// The one who asked is not what it was.
    SpentActor,
    /// The user that it was about is not what it was.
    SpentTarget,
    /// A workspace is enabled that was disabled, or the other way round.
    MovedWorkspace,
    /// A grant that was not there, or not one that was.
    MovedGrant,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `POST /api/v1/iam`, and the service `iam` of a socket.
    Iam,
    /// A path of its own.
    Path(&'static str),
    /// As [`Way::Iam`], on a deployment that nobody has claimed.
    Unclaimed,
}

/// One way to ask for an operation.
pub(super) struct Form {
    /// The operation.
    pub(super) operation: &'static str,
    /// What tells this form from the operation's others.
    pub(super) detail: &'static str,
    pub(super) way: Way,
    pub(super) targets: &'static [Target],
    /// The arguments.
    pub(super) ask: fn(&Subject) -> Value,
    /// Whether the grant that it is about is there before.
    pub(super) is_granted: bool,
    /// Whether the user that it is about holds a socket of its own.
    pub(super) is_connected: bool,
    pub(super) leaves: Leaves,
}
