//! The session machine: a pure function from a phase and an input to the next phase and the
//! actions that the loop performs. The table is that of docs/PROTOCOL.md.
//!
//! `Held`, over a lost lease, joins with the event feed.

use tollgate_proto::close::CloseCode;
use tollgate_proto::error::ErrorKind;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Nobody has authenticated yet.
    New,
    /// Somebody is authenticated.
    Bound,
    /// The credential has expired; running calls may finish.
    Grace,
    /// Authenticated once, now nobody.
    Unbound,
}

/// What can happen to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// A credential was taken.
    Accepted,
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
    /// IAM no longer knows the credential, or its user.
    AuthorityEnded,
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
    /// Answer the call with this error.
    Refuse(ErrorKind),
    /// Give every running call this last frame.
    EndCalls(ErrorKind),
    /// Say that the credential ends soon.
    TellExpiring,
    /// Nobody is authenticated from here on.
    Unbind,
    /// Say that the credential has ended.
    TellExpired,
    /// Say that it was taken away.
    TellRevoked,
    /// Close.
    Close(CloseCode),
}

/// A client that fails this often in a row is guessing.
pub(crate) const MAX_REFUSALS: u32 = 20;

/// One step of the machine.
pub(crate) fn step(phase: Phase, input: Input) -> (Phase, &'static [Action]) {
    use Action as A;
    use Phase::{Bound, Grace, New, Unbound};

    match (phase, input) {
        (_, Input::Accepted) => (Bound, &[A::Bind]),

        (New | Unbound, Input::Refused { in_a_row }) if in_a_row >= MAX_REFUSALS => {
            (phase, &[A::TellRefused, A::Close(CloseCode::AuthFailed)])
        }
        (Bound | Grace, Input::Refused { in_a_row }) if in_a_row >= MAX_REFUSALS => (
            Unbound,
            &[
                A::TellRefused,
                A::Unbind,
                A::EndCalls(ErrorKind::AccessDenied),
                A::Close(CloseCode::AuthFailed),
            ],
        ),
        (New | Unbound, Input::Refused { .. }) => (phase, &[A::TellRefused, A::ExtendDeadline]),
        (Bound | Grace, Input::Refused { .. }) => (phase, &[A::TellRefused]),
        (_, Input::Unjudged) => (phase, &[A::TellUnjudged]),

        (New | Unbound, Input::Call) => (phase, &[A::Refuse(ErrorKind::AuthRequired)]),
        (Bound, Input::Call) => (phase, &[A::Run]),
        (Grace, Input::Call) => (phase, &[A::Refuse(ErrorKind::AuthExpired)]),

        (New, Input::AuthDeadline { iam_silent: true }) => {
            (phase, &[A::Close(CloseCode::IamUnreachable)])
        }
        (New, Input::AuthDeadline { iam_silent: false }) => {
            (phase, &[A::Close(CloseCode::AuthTimeout)])
        }
        (Unbound, Input::AuthDeadline { .. }) => (phase, &[A::Close(CloseCode::AuthFailed)]),

        (Bound, Input::LifeEnding) => (phase, &[A::TellExpiring]),
        (Bound, Input::Expired) => (Grace, &[]),
        (Grace, Input::GraceOver) => {
            (Unbound, &[A::Unbind, A::EndCalls(ErrorKind::AuthExpired), A::TellExpired])
        }
        (Bound | Grace, Input::AuthorityEnded) => (
            Unbound,
            &[
                A::Unbind,
                A::EndCalls(ErrorKind::AccessDenied),
                A::TellRevoked,
                A::Close(CloseCode::Revoked),
            ],
        ),
        // A timer, or a call, of an identity that was replaced meanwhile.
        (New | Grace | Unbound, Input::LifeEnding | Input::Expired)
        | (New | Bound | Unbound, Input::GraceOver)
        | (Bound | Grace, Input::AuthDeadline { .. })
        | (New | Unbound, Input::AuthorityEnded) => (phase, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_input() -> impl Strategy<Value = Input> {
        prop_oneof![
            Just(Input::Accepted),
            (1..25_u32).prop_map(|in_a_row| Input::Refused { in_a_row }),
            Just(Input::Unjudged),
            Just(Input::Call),
            any::<bool>().prop_map(|iam_silent| Input::AuthDeadline { iam_silent }),
            Just(Input::LifeEnding),
            Just(Input::Expired),
            Just(Input::GraceOver),
            Just(Input::AuthorityEnded),
        ]
    }

    proptest! {
        /// Whatever happens, a call runs only while somebody is bound, and authority that ends
        /// ends before anything is said about it.
        #[test]
        fn no_call_runs_without_an_identity(inputs in proptest::collection::vec(any_input(), 0..64)) {
            let (mut phase, mut bound) = (Phase::New, false);
            for input in inputs {
                let was_bound = bound;
                let (next, actions) = step(phase, input);
                for action in actions {
                    match action {
                        Action::Bind => bound = true,
                        Action::Unbind => bound = false,
                        Action::Run => prop_assert!(bound && phase == Phase::Bound),
                        Action::EndCalls(_) => prop_assert!(!bound),
                        _ => {}
                    }
                }
                prop_assert_eq!(bound, matches!(next, Phase::Bound | Phase::Grace));
                prop_assert!(next != Phase::New || phase == Phase::New);
                if input == Input::AuthorityEnded {
                    let closes = actions.contains(&Action::Close(CloseCode::Revoked));
                    prop_assert_eq!((closes, bound), (was_bound, false));
                }
                if input == Input::Call {
                    prop_assert_eq!(actions.len(), 1, "every call has one consequence");
                }
                phase = next;
            }
        }
    }

    #[test]
    fn the_refused_keep_their_identity_and_guessers_lose_theirs() {
        let (phase, actions) = step(Phase::Bound, Input::Refused { in_a_row: 19 });
        assert_eq!((phase, actions), (Phase::Bound, &[Action::TellRefused][..]));
        let (phase, actions) = step(Phase::Bound, Input::Refused { in_a_row: 20 });
        assert_eq!(phase, Phase::Unbound);
        assert_eq!(actions.last(), Some(&Action::Close(CloseCode::AuthFailed)));
    }

    #[test]
    fn a_silent_iam_is_not_the_clients_fault() {
        let deadline = |iam_silent| Input::AuthDeadline { iam_silent };
        let check = |iam_silent, code| {
            assert_eq!(step(Phase::New, deadline(iam_silent)).1, [Action::Close(code)]);
        };
        check(true, CloseCode::IamUnreachable);
        check(false, CloseCode::AuthTimeout);
    }
}
