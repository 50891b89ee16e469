//! What becomes of the calls in flight when somebody authenticates again: those that the new
//! identity may not make end, the others go on.
//!
//! In: what each call needs. Out: the calls that end, each with its error; all are decided before
//! `auth-ok` is written, so that it can tell. Calls that come meanwhile wait behind the auth frame.

use std::collections::{HashMap, HashSet};

use tollgate_proto::error::ErrorKind;
use tollgate_proto::iam::{Check, Client, Decision, Identity};

use super::Session;
use crate::authorise::NotPermitted;
use crate::iam::{NotDecided, Questions};

/// Calls in flight, with what they need. Those that IAM decides on, or nobody, are not here.
pub(super) struct Claims(Vec<(u64, Check)>);

impl Claims {
    /// What they need, each once.
    pub(super) fn checks(&self) -> Vec<Check> {
        let checks: HashSet<&Check> = self.0.iter().map(|(_, check)| check).collect();
        checks.into_iter().cloned().collect()
    }

    /// Those that may not go on, by what was decided on each of the checks.
    pub(super) fn refused(self, checks: &[Check], decisions: &[Decision]) -> Refused {
        let kinds: HashMap<&Check, Option<ErrorKind>> =
            checks.iter().zip(decisions.iter().copied().map(kind_of)).collect();
        let kind = |check| kinds.get(&check).copied().unwrap_or(Some(ErrorKind::Internal));
        self.0.iter().filter_map(|(number, check)| Some((*number, kind(check)?))).collect()
    }

    fn all_refused(self, kind: ErrorKind) -> Refused {
        self.0.into_iter().map(|(number, _)| (number, kind)).collect()
    }
}

/// Calls that end, and why.
pub(super) type Refused = HashMap<u64, ErrorKind>;

/// Decides on all of them at once. What cannot be decided is refused.
pub(super) async fn refused(
    questions: &Questions,
    identity: &Identity,
    claims: Claims,
    client: &Client,
) -> Refused {
    let checks = claims.checks();
    if checks.is_empty() {
        return Refused::new();
    }
    match questions.authorise_many(identity, &checks, client).await {
        Ok(decisions) => claims.refused(&checks, &decisions),
        Err(reason) => {
            tracing::debug!(%reason, "calls in flight could not be authorised again");
            claims.all_refused(match reason {
                NotDecided::Ended(_) => ErrorKind::AccessDenied,
                other => NotPermitted::from(other).kind(),
            })
        }
    }
}

fn kind_of(decision: Decision) -> Option<ErrorKind> {
    match decision {
        Decision::Allow => None,
        Decision::Deny => Some(NotPermitted::Denied.kind()),
        Decision::NoWorkspace => Some(NotPermitted::NoWorkspace.kind()),
    }
}

impl Session {
    /// What the calls in flight need.
    pub(super) fn claims(&self) -> Claims {
        let running = self.inflight.running().map(|(number, check)| (number, Some(check)));
        let waiting = self.inflight.waiting();
        let waiting = waiting.map(|(number, (.., call))| (*number, call.needs.check()));
        let all = running.chain(waiting);
        Claims(all.filter_map(|(number, check)| Some((number, check?.clone()))).collect())
    }

    /// The ids of the calls that go on, and of those that end, as `auth-ok` tells them.
    pub(super) fn kept_and_dropped(
        &self,
        refused: &Refused,
    ) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for (number, id) in self.inflight.ids() {
            let ids = if refused.contains_key(&number) { &mut dropped } else { &mut kept };
            // An id came as JSON.
            ids.extend(serde_json::from_str::<serde_json::Value>(&id));
        }
        (kept, dropped)
    }

    /// Ends the calls that the new identity may not make. Those of the same caller that still wait
    /// will run under it: the credential that they came with may be about to end.
    pub(super) fn swap_calls(&mut self, refused: Refused) {
        self.end_refused(refused);
        for (_, (.., caller, _)) in self.inflight.waiting_mut() {
            let same = caller.as_ref().zip(self.caller.as_ref()).is_some_and(|(old, new)| {
                let (old, new) = (old.identity(), new.identity());
                old.actor.user == new.actor.user && old.user_context == new.user_context
            });
            if same {
                caller.clone_from(&self.caller);
            }
        }
        self.start_waiting();
    }
}

impl Session {
    /// Ends calls that may not go on, in the order in which they came; says how many.
    pub(super) fn end_refused(&mut self, refused: Refused) -> u64 {
        let mut refused: Vec<_> = refused.into_iter().collect();
        refused.sort_unstable_by_key(|(number, _)| *number);
        let before = self.inflight.len();
        for (number, kind) in refused {
            self.end_call(number, Err(kind.into()));
        }
        (before - self.inflight.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tollgate_proto::capability::Capability;
    use tollgate_proto::resource::Resource;

    use super::*;
    use crate::iam::table::{self, TableIam, identity};

    #[tokio::test]
    async fn each_call_is_judged_and_all_at_once() {
        let iam = Arc::new(TableIam::default());
        let questions = table::questions(iam.clone(), Duration::from_secs(5));
        let check = async |workspaces: &[&str]| {
            let claims = workspaces.iter().zip(0..).map(|(workspace, number)| {
                let resource = Resource::Workspace { workspace: workspace.parse().unwrap() };
                (number, Check { capability: Capability::Llm, resource })
            });
            let client = Client::default();
            let claims = Claims(claims.collect());
            let refused = refused(&questions, &identity("ann"), claims, &client).await;
            let mut refused: Vec<_> = refused.into_iter().collect();
            refused.sort_unstable_by_key(|(number, _)| *number);
            refused
        };
        let asked = || iam.asked.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!((check(&[]).await, asked()), (vec![], 0));
        let expect = vec![(1, ErrorKind::AccessDenied), (3, ErrorKind::WorkspaceNotFound)];
        assert_eq!((check(&["home", "acme", "home", "gone"]).await, asked()), (expect, 1));
        *iam.away.lock().unwrap() = true;
        assert_eq!(check(&["home"]).await, [(0, ErrorKind::Unavailable)]);
    }
}
