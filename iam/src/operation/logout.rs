//! Ending one's own session before its token does.

use tollgate_proto::iam::Credential;
use tollgate_proto::jwt::LEEWAY;

use super::{Answered, Context, Request, caller, decide_and_commit};
use crate::commit::Decided;
use crate::policy::{self, Action};
use crate::record::{Change, Outcome};
use crate::refused::Refused;
use crate::state::Read;
use crate::times;

/// Ends the session that asks.
pub(super) async fn logout(context: &Context, request: &Request) -> Result<Answered, Refused> {
    let request_of = request.clone();
    let decide = move |state: &dyn Read| {
        let live = caller::live(state, &request_of)?;
        let allowed = policy::allow(&live, &Action::EndOwnSession)?;
        let credential = request_of.actor.as_ref().map(|actor| actor.credential);
        let Some(Credential::Session(session) | Credential::Minted { session, .. }) = credential
        else {
            let other = "an API key is no session; use revoke-api-key";
            return Err(Refused::Invalid(other.to_owned()));
        };
        let at_ms = request_of.now_ms;
        // When its token expires is not known here; no token lives longer.
        let until_ms = at_ms + (times::LIFE + LEEWAY) * 1_000;
        let changes = vec![Change::EndSession { session: session.id, until_ms, at_ms }];
        Ok(Decided { allowed, changes, outcome: Outcome::Done })
    };
    decide_and_commit(context, request, "logout", decide).await
}
