//! The lines of what left no entry in the journal: credentials, logins, decisions, refusals.
//!
//! In: a call before it is answered, and its answer with the true reason. Out: lines. Never: a
//! credential, a password, or what a client may have written in place of an id.

use tokio::time::Instant;
use tollgate_proto::audit::{Event, Line, Peer, Target, Text, Verdict, Who};
use tollgate_proto::iam::{Actor, Call, Check, Confirmed, Decision, Operation, Outcome, Question};
use tollgate_proto::ids::OperationId;
use tollgate_proto::resource::Resource;

use super::{Audit, target};
use crate::policy::Denied;
use crate::refused::Refused;
use crate::times;

/// What is known of a call before it is answered.
pub struct Asked {
    id: OperationId,
    peer: Peer,
    about: About,
    begun: Instant,
}

enum About {
    Credential,
    Checks { actor: Actor, checks: Vec<Check> },
    Actors(Vec<Actor>),
    Operation { actor: Option<Actor>, name: &'static str, kind: Kind, target: Option<Target> },
}

/// The operations that have events of their own.
enum Kind {
    Bootstrap,
    Login,
    Mint,
    /// What everybody may see of oneself.
    Own,
    Management,
}

impl Kind {
    fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Bootstrap {} => Self::Bootstrap,
            Operation::Login { .. } => Self::Login,
            Operation::MintToken { .. } => Self::Mint,
            Operation::BootstrapStatus {}
            | Operation::Whoami {}
            | Operation::ListMyWorkspaces {} => Self::Own,
            _ => Self::Management,
        }
    }
}

/// What was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The answer, or why there is none.
    pub outcome: Result<&'a Outcome, &'a Refused>,
    /// Whether it is in the journal, and has its line from there.
    pub is_entered: bool,
    /// The session that it opened, with its user.
    pub opened: Option<&'a Actor>,
}

impl Asked {
    /// Notes what a call is about; nothing, if there is no audit file.
    pub fn of(call: &Call, audit: &Audit) -> Option<Self> {
        let Audit(Some(handle)) = audit else { return None };
        let about = match &call.question {
            Question::Authenticate { .. } => About::Credential,
            Question::Authorise { actor, check } => {
                About::Checks { actor: actor.clone(), checks: vec![check.clone()] }
            }
            Question::AuthoriseMany { actor, checks } => {
                About::Checks { actor: actor.clone(), checks: checks.clone() }
            }
            Question::Revalidate { claims } => {
                About::Actors(claims.iter().map(|claim| claim.actor.clone()).collect())
            }
            Question::Operate { actor, operation, .. } => About::Operation {
                actor: actor.clone(),
                name: operation.name(),
                kind: Kind::of(operation),
                target: target::of_operation(operation, &handle.key),
            },
        };
        Some(Self { id: call.id, peer: Peer::from(&call.client), about, begun: Instant::now() })
    }

    /// Writes what came of it.
    pub fn answered(self, audit: &Audit, answered: Answered<'_>) {
        let Audit(Some(handle)) = audit else { return };
        let took = self.begun.elapsed().as_micros();
        let blank = |event| Line {
            request_id: Some(self.id),
            client: Some(self.peer.clone()),
            latency_us: Some(u64::try_from(took).unwrap_or(u64::MAX)),
            ..Line::new(event, times::format_ns(handle.clock.now_ns()), handle.node.clone())
        };
        match &self.about {
            About::Credential => handle.write(credential(blank, answered)),
            About::Checks { actor, checks } => {
                for line in decisions(blank, actor, checks, answered) {
                    handle.write(line);
                }
            }
            About::Actors(actors) => {
                for line in ended(blank, actors, answered) {
                    handle.write(line);
                }
            }
            About::Operation { actor, name, kind, target } => {
                let Some(event) = operation(kind, answered) else { return };
                let line = Line {
                    // Whoever logs in was nobody before.
                    actor: actor.as_ref().or(answered.opened).map(Who::from),
                    target: answered.opened.and_then(target::of_minted).or(target.clone()),
                    operation: Some(Text::new(name)),
                    ..blank(event)
                };
                handle.write(with_reason(line, answered.outcome.err()));
            }
        }
    }
}

fn credential(blank: impl Fn(Event) -> Line, answered: Answered<'_>) -> Line {
    match answered.outcome {
        Ok(Outcome::Identity(identity)) => {
            Line { actor: Some(Who::from(&identity.actor)), ..blank(Event::AuthOk) }
        }
        Err(refused @ Refused::TooMany { .. }) => {
            with_reason(blank(Event::AuthThrottled), Some(refused))
        }
        other => with_reason(blank(Event::AuthFail), other.err()),
    }
}

/// All that were denied, and those that were allowed on the deployment as a whole.
fn decisions(
    blank: impl Fn(Event) -> Line,
    actor: &Actor,
    checks: &[Check],
    answered: Answered<'_>,
) -> Vec<Line> {
    let line = |event, check: &Check| Line {
        actor: Some(Who::from(actor)),
        target: Some(target::of_resource(&check.resource)),
        capability: Some(check.capability),
        ..blank(event)
    };
    let denied = |check, reason: &str| Line {
        outcome: Verdict::Refused,
        reason: Some(Text::new(reason)),
        ..line(Event::AuthzDeny, check)
    };
    let decisions = match answered.outcome {
        Ok(Outcome::Decision(decision)) => std::slice::from_ref(decision),
        Ok(Outcome::Decisions(decisions)) => decisions.as_slice(),
        other => {
            let failed = |check| with_reason(line(Event::AuthzDeny, check), other.err());
            return checks.iter().map(failed).collect();
        }
    };
    let lines = checks.iter().zip(decisions).filter_map(|(check, decision)| match decision {
        Decision::Allow if check.resource == Resource::Deployment => {
            Some(line(Event::AuthzAllow, check))
        }
        Decision::Allow => None,
        Decision::Deny => Some(denied(check, "no grant covers it")),
        Decision::NoWorkspace => Some(denied(check, "the workspace is disabled or not there")),
    });
    lines.collect()
}

/// Those who are no longer who they were.
fn ended(blank: impl Fn(Event) -> Line, actors: &[Actor], answered: Answered<'_>) -> Vec<Line> {
    let confirmed = match answered.outcome {
        Ok(Outcome::Confirmed(confirmed)) => confirmed,
        other => return vec![with_reason(blank(Event::AuthFail), other.err())],
    };
    let ended = actors.iter().zip(confirmed).filter(|(_, it)| **it == Confirmed::Ended);
    ended
        .map(|(actor, _)| {
            let line = Line { actor: Some(Who::from(actor)), ..blank(Event::AuthFail) };
            with_reason(line, Some(&Refused::Denied(Denied::NotLive)))
        })
        .collect()
}

/// What an operation is called that left no entry; nothing, if that is not worth a line.
fn operation(kind: &Kind, answered: Answered<'_>) -> Option<Event> {
    let Err(refused) = answered.outcome else {
        return match kind {
            Kind::Login => Some(Event::LoginOk),
            Kind::Mint => Some(Event::TokenMint),
            Kind::Own | Kind::Bootstrap => None,
            Kind::Management => (!answered.is_entered).then_some(Event::AuthzAllow),
        };
    };
    Some(match (refused, kind) {
        (Refused::TooMany { .. }, _) => Event::AuthThrottled,
        (_, Kind::Bootstrap) => Event::BootstrapRefused,
        (_, Kind::Login) => Event::LoginFail,
        (Refused::Unauthenticated(_) | Refused::Denied(Denied::NotLive), _) => Event::AuthFail,
        (Refused::Denied(_) | Refused::NotPermitted(_), _) => Event::AuthzDeny,
        (
            Refused::Invalid(_)
            | Refused::NotFound(_)
            | Refused::Duplicate(_)
            | Refused::WeakPassword(_)
            | Refused::NotSupported(_)
            | Refused::Unavailable(_)
            | Refused::Internal(_),
            _,
        ) => Event::OperationRefused,
    })
}

/// The true reason, where something was not done.
fn with_reason(line: Line, refused: Option<&Refused>) -> Line {
    let Some(refused) = refused else { return line };
    let outcome = match refused {
        Refused::Unavailable(_) | Refused::Internal(_) => Verdict::Failed,
        Refused::Invalid(_)
        | Refused::NotFound(_)
        | Refused::Duplicate(_)
        | Refused::Unauthenticated(_)
        | Refused::Denied(_)
        | Refused::NotPermitted(_)
        | Refused::WeakPassword(_)
        | Refused::NotSupported(_)
        | Refused::TooMany { .. } => Verdict::Refused,
    };
    Line { outcome, reason: Some(Text::new(&refused.to_string())), ..line }
}
