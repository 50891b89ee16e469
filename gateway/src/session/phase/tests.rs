//! The machine against a small world: everything that IAM, the feed, time and a client can do, in
//! every order, until nothing new is reached.

mod world;

use super::*;
use Phase::{Bound, Grace};
use world::{Step, explore};

#[test]
fn nothing_leaves_under_authority_that_has_ended() {
    let reached = explore(step).unwrap();
    assert!(reached > 1_000, "{reached} worlds: the model has lost something");
}

/// Machines with a fault each.
const MUTANTS: &[(&str, Step)] = &[
    ("a call runs in grace", |phase, input| match (phase, input) {
        (Grace(_), Input::Call) => (phase, &[Action::Run]),
        _ => step(phase, input),
    }),
    ("a call runs while the feed is silent", |phase, input| match (phase, input) {
        (Bound(Way::Held { .. }), Input::Call) => (phase, &[Action::Run]),
        _ => step(phase, input),
    }),
    ("a call runs while IAM is asked", |phase, input| match (phase, input) {
        (Bound(Way::Review), Input::Call) => (phase, &[Action::Run]),
        _ => step(phase, input),
    }),
    ("silence goes unnoticed", |phase, input| match input {
        Input::LeaseLost => (phase, &[]),
        _ => step(phase, input),
    }),
    ("a doubt goes unnoticed", |phase, input| match input {
        Input::Suspected => (phase, &[]),
        _ => step(phase, input),
    }),
    ("a doubt that came in silence is forgotten", |phase, input| match (phase, input) {
        (Bound(Way::Held { .. }), Input::LeaseBack) => (Bound(Way::Open), &[]),
        _ => step(phase, input),
    }),
    ("a doubt before silence is forgotten", |phase, input| match (phase, input) {
        (Bound(Way::Review), Input::LeaseLost) => (Bound(Way::Held { suspect: false }), &[]),
        _ => step(phase, input),
    }),
    ("a second doubt asks nothing", |phase, input| match (phase, input) {
        (Bound(Way::Review), Input::Suspected) => (phase, &[]),
        _ => step(phase, input),
    }),
    ("who is taken in silence is trusted", |phase, input| match input {
        Input::Accepted { .. } => step(phase, Input::Accepted { trusted: true }),
        _ => step(phase, input),
    }),
    ("whose authority has ended stays", |phase, input| match input {
        Input::AuthorityEnded => (phase, &[]),
        _ => step(phase, input),
    }),
    ("whose authority has ended is told before its calls end", |phase, input| {
        let ends: &[Action] = &[
            Action::TellRevoked(CloseCode::Revoked),
            Action::Close(CloseCode::Revoked),
            Action::Unbind,
            Action::EndCalls(ErrorKind::AccessDenied),
        ];
        match (phase, input) {
            (Bound(_) | Grace(_), Input::AuthorityEnded) => (Phase::Unbound, ends),
            _ => step(phase, input),
        }
    }),
    ("calls go on behind grace", |phase, input| match (phase, input) {
        (Grace(_), Input::GraceOver) => (Phase::Unbound, &[Action::Unbind, Action::TellExpired]),
        _ => step(phase, input),
    }),
    ("nobody is told of a long silence", |phase, input| match input {
        Input::HeldTooLong => (phase, &[]),
        _ => step(phase, input),
    }),
    ("the way stays closed when the feed is back", |phase, input| match input {
        Input::LeaseBack => (phase, &[]),
        _ => step(phase, input),
    }),
    ("the way stays closed when IAM has answered", |phase, input| match input {
        Input::Confirmed => (phase, &[]),
        _ => step(phase, input),
    }),
    ("the end of life opens the way", |phase, input| match (phase, input) {
        (Bound(_), Input::Expired) => (Grace(Way::Open), &[]),
        _ => step(phase, input),
    }),
    ("who guesses stays", |phase, input| match (phase, input) {
        (Bound(_) | Grace(_), Input::Refused { .. }) => (phase, &[Action::TellRefused]),
        _ => step(phase, input),
    }),
];

#[test]
fn a_fault_in_the_machine_is_found() {
    for (fault, mutant) in MUTANTS {
        let found = explore(*mutant);
        assert!(found.is_err(), "{fault}: nothing was found in {found:?} worlds");
    }
}

#[test]
fn every_call_has_one_consequence() {
    let held = [false, true].map(|suspect| Way::Held { suspect });
    let ways = [Way::Open, Way::Review].into_iter().chain(held);
    let somebody = ways.flat_map(|way| [Bound(way), Grace(way)]);
    for phase in [Phase::New, Phase::Unbound].into_iter().chain(somebody) {
        assert_eq!(step(phase, Input::Call).1.len(), 1, "{phase:?}");
    }
}

#[test]
fn the_refused_keep_their_identity_and_guessers_lose_theirs() {
    let bound = Bound(Way::Open);
    let (phase, actions) = step(bound, Input::Refused { in_a_row: 19 });
    assert_eq!((phase, actions), (bound, &[Action::TellRefused][..]));
    let (phase, actions) = step(bound, Input::Refused { in_a_row: 20 });
    assert_eq!(phase, Phase::Unbound);
    assert_eq!(actions.last(), Some(&Action::Close(CloseCode::AuthFailed)));
}

#[test]
fn whoever_is_kicked_is_nobody_before_its_calls_end() {
    for way in [Way::Open, Way::Review, Way::Held { suspect: true }] {
        for phase in [Bound(way), Grace(way)] {
            let (next, actions) = step(phase, Input::Kicked);
            let end = Action::EndCalls(ErrorKind::Unavailable);
            assert_eq!(actions, [Action::Unbind, end, Action::Close(CloseCode::Revoked)]);
            assert_eq!(next, Phase::Unbound);
        }
    }
    // It was told to somebody who is not there any more.
    for phase in [Phase::New, Phase::Unbound] {
        assert_eq!(step(phase, Input::Kicked), (phase, &[][..]));
    }
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
