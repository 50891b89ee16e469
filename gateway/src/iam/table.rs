//! IAM as a table, for tests of the gateway's own logic: who a token is and what it may do.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use tollgate_proto::iam::{
    Actor, Client, Credential, Decision, Identity, Outcome, Question, Refusal, RefusalKind, Reply,
};
use tollgate_proto::ids::{KeyId, UserId};
use uuid::Uuid;

use super::{Iam, Unreachable};

/// The identity of a user whose home is `home`.
pub(crate) fn identity(user: &str) -> Identity {
    let id = user.bytes().fold(0_u128, |id, byte| id * 256 + u128::from(byte));
    Identity {
        actor: Actor {
            user: UserId(Uuid::from_u128(id)),
            credential: Credential::Key(KeyId(Uuid::from_u128(id))),
            auth_epoch: 1,
        },
        authz_epoch: 1,
        default_workspace: "home".parse().unwrap(),
        expires_at_ms: None,
        user_context: None,
    }
}

/// Tokens and whom they stand for; everybody may do everything at home and nothing elsewhere.
#[derive(Default)]
pub(crate) struct TableIam {
    pub(crate) identities: HashMap<String, Identity>,
    pub(crate) asked: AtomicUsize,
    pub(crate) away: Mutex<bool>,
}

impl TableIam {
    pub(crate) fn knowing(tokens: &[(&str, Identity)]) -> Self {
        let identities = tokens.iter().map(|(t, i)| ((*t).to_owned(), i.clone())).collect();
        Self { identities, ..Self::default() }
    }

    fn answer(&self, question: &Question) -> Result<Outcome, Unreachable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if *self.away.lock().unwrap() {
            return Err(Unreachable("away".into()));
        }
        let decide = |check: &tollgate_proto::iam::Check| match check.resource.workspace() {
            Some(workspace) if workspace.as_str() == "home" => Decision::Allow,
            Some(workspace) if workspace.as_str() == "gone" => Decision::NoWorkspace,
            Some(_) | None => Decision::Deny,
        };
        Ok(match question {
            Question::Authenticate { credential } => {
                match self.identities.get(credential.expose_secret()) {
                    Some(identity) => Outcome::Identity(identity.clone()),
                    None => Outcome::Refused(Refusal::new(RefusalKind::AuthFailed, "no")),
                }
            }
            Question::Authorise { check, .. } => Outcome::Decision(decide(check)),
            Question::AuthoriseMany { checks, .. } => {
                Outcome::Decisions(checks.iter().map(decide).collect())
            }
            Question::Revalidate { actors } => Outcome::Confirmed(vec![None; actors.len()]),
            Question::Operate { .. } => Outcome::Reply(Reply::default()),
        })
    }
}

impl Iam for TableIam {
    fn ask<'a>(
        &'a self,
        question: Question,
        _client: &'a Client,
    ) -> BoxFuture<'a, Result<Outcome, Unreachable>> {
        async move { self.answer(&question) }.boxed()
    }
}
