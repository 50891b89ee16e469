//! The session machine: a pure function from a phase and an input to the next phase and the
//! actions that the loop performs. The table is that of docs/PROTOCOL.md.

use tollgate_proto::close::CloseCode;
use tollgate_proto::error::ErrorKind;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Nobody has authenticated yet.
    New,
    /// Somebody is authenticated.
    Bound(Way),
    /// The credential has expired; running calls may finish.
    Grace(Way),
    /// Authenticated once, now nobody.
    Unbound,
}

/// Whether what calls say may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Open,
    /// Something has moved that the identity rests on. They wait for what IAM says.
    Review,
    /// The feed has been silent for the lease. They wait for its return.
    Held {
        /// Something had moved when that began, or has since.
        suspect: bool,
    },
}

impl Phase {
    /// Of whoever is somebody.
    pub(crate) fn way(self) -> Option<Way> {
        match self {
            Self::Bound(way) | Self::Grace(way) => Some(way),
            Self::New | Self::Unbound => None,
        }
    }
}

/// What can happen to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// A credential was taken.
    Accepted {
        /// Whether the feed is trusted now.
        trusted: bool,
    },
    /// One was refused, this many in a row.
    Refused { in_a_row: u32 },
    /// One could not be judged.
    Unjudged,
    /// A call came.
    Call,
    /// Too long without an identity.
    AuthDeadline {
        /// IAM could not be asked, or is being asked still.
        iam_silent: bool,
    },
    /// Most of the credential's life is over.
    LifeEnding,
    /// All of it is.
    Expired,
    /// The time after it is over too.
    GraceOver,
    /// Something has moved that the identity rests on.
    Suspected,
    /// IAM has said that the identity is good.
    Confirmed,
    /// IAM no longer knows the credential, or its user, or allows them anything.
    AuthorityEnded,
    /// Whatever IAM would allow is in workspaces that are disabled.
    WorkspaceDisabled,
    /// The socket is to be closed. No authority has ended.
    Kicked,
    /// The feed has been silent for the lease.
    LeaseLost,
    /// It is heard again, and all that it had to tell.
    LeaseBack,
    /// It has been silent for too long.
    HeldTooLong,
}

/// What the loop does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Take the new identity, then say `auth-ok`.
    Bind,
    /// Say `auth-failed`.
    TellRefused,
    /// Say `auth-failed` with `retryable`.
    TellUnjudged,
    /// Give the client some more time to authenticate.
    ExtendDeadline,
    /// Run the call under the present identity.
    Run,
    /// Keep the call until the way is open.
    Hold,
    /// Answer the call with this error.
    Refuse(ErrorKind),
    /// Give every running call this last frame.
    EndCalls(ErrorKind),
    /// Ask IAM what is left of the identity, whatever was asked before.
    Review,
    /// Say that the credential ends soon.
    TellExpiring,
    /// Nobody is authenticated from here on.
    Unbind,
    /// Say that the credential has ended.
    TellExpired,
    /// Say that the authority was taken away, as the close will.
    TellRevoked(CloseCode),
    /// Close.
    Close(CloseCode),
}

/// A client that fails this often in a row is guessing.
pub(crate) const MAX_REFUSALS: u32 = 20;

/// To nobody first: what is said about an end is said when it is there.
const REVOKED: &[Action] = &taken_away(CloseCode::Revoked);
const WORKSPACE_DISABLED: &[Action] = &taken_away(CloseCode::WorkspaceDisabled);

const fn taken_away(code: CloseCode) -> [Action; 4] {
    [
        Action::Unbind,
        Action::EndCalls(ErrorKind::AccessDenied),
        Action::TellRevoked(code),
        Action::Close(code),
    ]
}

/// One step of the machine.
pub(crate) fn step(phase: Phase, input: Input) -> (Phase, &'static [Action]) {
    use Action as A;
    use Phase::{Bound, Grace, New, Unbound};

    match (phase, input) {
        // What is doubtful about an identity is no matter of the next one.
        (_, Input::Accepted { trusted: true }) => (Bound(Way::Open), &[A::Bind]),
        (_, Input::Accepted { trusted: false }) => {
            (Bound(Way::Held { suspect: false }), &[A::Bind])
        }

        (New | Unbound, Input::Refused { in_a_row }) if in_a_row >= MAX_REFUSALS => {
            (phase, &[A::TellRefused, A::Close(CloseCode::AuthFailed)])
        }
        (Bound(_) | Grace(_), Input::Refused { in_a_row }) if in_a_row >= MAX_REFUSALS => (
            Unbound,
            &[
                A::TellRefused,
                A::Unbind,
                A::EndCalls(ErrorKind::AccessDenied),
                A::Close(CloseCode::AuthFailed),
            ],
        ),
        (New | Unbound, Input::Refused { .. }) => (phase, &[A::TellRefused, A::ExtendDeadline]),
        (Bound(_) | Grace(_), Input::Refused { .. }) => (phase, &[A::TellRefused]),
        (_, Input::Unjudged) => (phase, &[A::TellUnjudged]),

        (New | Unbound, Input::Call) => (phase, &[A::Refuse(ErrorKind::AuthRequired)]),
        (Bound(Way::Open), Input::Call) => (phase, &[A::Run]),
        (Bound(Way::Review), Input::Call) => (phase, &[A::Hold]),
        (Bound(Way::Held { .. }), Input::Call) => (phase, &[A::Refuse(ErrorKind::Unavailable)]),
        (Grace(_), Input::Call) => (phase, &[A::Refuse(ErrorKind::AuthExpired)]),

        (New, Input::AuthDeadline { iam_silent: true }) => {
            (phase, &[A::Close(CloseCode::IamUnreachable)])
        }
        (New, Input::AuthDeadline { iam_silent: false }) => {
            (phase, &[A::Close(CloseCode::AuthTimeout)])
        }
        (Unbound, Input::AuthDeadline { .. }) => (phase, &[A::Close(CloseCode::AuthFailed)]),

        (Bound(_), Input::LifeEnding) => (phase, &[A::TellExpiring]),
        (Bound(way), Input::Expired) => (Grace(way), &[]),
        (Grace(_), Input::GraceOver) => {
            (Unbound, &[A::Unbind, A::EndCalls(ErrorKind::AuthExpired), A::TellExpired])
        }
        (Bound(_) | Grace(_), Input::AuthorityEnded) => (Unbound, REVOKED),
        (Bound(_) | Grace(_), Input::WorkspaceDisabled) => (Unbound, WORKSPACE_DISABLED),
        (Bound(_) | Grace(_), Input::Kicked) => (
            Unbound,
            &[A::Unbind, A::EndCalls(ErrorKind::Unavailable), A::Close(CloseCode::Revoked)],
        ),

        (Bound(way), Input::Suspected | Input::Confirmed | Input::LeaseLost | Input::LeaseBack) => {
            let (way, actions) = turn(way, input);
            (Bound(way), actions)
        }
        (Grace(way), Input::Suspected | Input::Confirmed | Input::LeaseLost | Input::LeaseBack) => {
            let (way, actions) = turn(way, input);
            (Grace(way), actions)
        }
        (Bound(Way::Held { .. }) | Grace(Way::Held { .. }), Input::HeldTooLong) => {
            (phase, &[A::EndCalls(ErrorKind::Unavailable)])
        }

        // A timer, a word or a call of an identity that was replaced meanwhile.
        (New | Grace(_) | Unbound, Input::LifeEnding | Input::Expired)
        | (New | Bound(_) | Unbound, Input::GraceOver)
        | (Bound(_) | Grace(_), Input::AuthDeadline { .. } | Input::HeldTooLong)
        | (
            New | Unbound,
            Input::AuthorityEnded
            | Input::WorkspaceDisabled
            | Input::Kicked
            | Input::Suspected
            | Input::Confirmed
            | Input::LeaseLost
            | Input::LeaseBack
            | Input::HeldTooLong,
        ) => (phase, &[]),
    }
}

/// Whether the way opens or closes.
fn turn(way: Way, input: Input) -> (Way, &'static [Action]) {
    match (way, input) {
        // What was asked before is about less. Or the doubt came in silence.
        (Way::Open | Way::Review, Input::Suspected)
        | (Way::Held { suspect: true }, Input::LeaseBack) => (Way::Review, &[Action::Review]),
        (Way::Held { .. }, Input::Suspected) | (Way::Review, Input::LeaseLost) => {
            (Way::Held { suspect: true }, &[])
        }
        (Way::Open, Input::LeaseLost) => (Way::Held { suspect: false }, &[]),
        (Way::Review, Input::Confirmed) | (Way::Held { suspect: false }, Input::LeaseBack) => {
            (Way::Open, &[])
        }
        (_, _) => (way, &[]),
    }
}

#[cfg(test)]
mod tests;
