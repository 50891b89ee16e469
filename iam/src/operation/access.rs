//! What the gateway asks for every connection and call: whose is this, and may it.

use secrecy::{ExposeSecret, SecretString};
use tollgate_proto::iam::{Actor, Check, Claim, Confirmed, Credential, Decision, Identity};
use tollgate_proto::key::{self, Shape};

use super::{Context, caller};
use crate::hash::Hash;
use crate::policy::{self, Live};
use crate::record::User;
use crate::refused::Refused;
use crate::state::{self, View};

/// Tells whose credential it is. Every failure looks the same outside.
pub fn authenticate(
    context: &Context,
    credential: &SecretString,
    now_ms: u64,
) -> Result<Identity, Refused> {
    let view = context.state.view()?;
    let text = credential.expose_secret();
    if text.starts_with(key::PREFIX) {
        authenticate_key(context, &view, text, now_ms)
    } else if text.bytes().filter(|byte| *byte == b'.').count() == 2 {
        authenticate_token(context, &view, text, now_ms)
    } else {
        Err(Refused::Unauthenticated("neither a key nor a token"))
    }
}

fn authenticate_key(
    context: &Context,
    view: &View,
    text: &str,
    now_ms: u64,
) -> Result<Identity, Refused> {
    match key::shape(text) {
        Shape::Broken | Shape::NotAKey => {
            return Err(Refused::Unauthenticated("a key with a wrong checksum"));
        }
        // The last is what an operator may have chosen as bootstrap token.
        Shape::Current | Shape::Legacy | Shape::Other => {}
    }
    let record = state::key_by_hash(view, &Hash::of(text.as_bytes()))?
        .ok_or(Refused::Unauthenticated("an unknown key"))?;
    let actor = Actor {
        user: record.user,
        credential: Credential::Key(record.id),
        auth_epoch: record.auth_epoch,
    };
    let user = check_entry(view, &actor, now_ms)?;
    context.last_used.note(record.id, now_ms);
    Ok(Identity {
        actor,
        authz_epoch: user.authz_epoch,
        default_workspace: user.home,
        expires_at_ms: record.expires_ms,
        user_context: None,
    })
}

fn authenticate_token(
    context: &Context,
    view: &View,
    text: &str,
    now_ms: u64,
) -> Result<Identity, Refused> {
    let verified = context.tokens.verify(view, text, now_ms / 1_000)?.map_err(|error| {
        tracing::debug!(%error, "a token was refused");
        Refused::Unauthenticated("an unacceptable token")
    })?;
    let user = check_entry(view, &verified.claims.actor(verified.key), now_ms)?;
    Ok(verified.claims.identity(verified.key, user.authz_epoch))
}

/// The user behind an actor who is live and has anywhere to go.
fn check_entry(view: &View, actor: &Actor, now_ms: u64) -> Result<User, Refused> {
    let live = caller::live_actor(view, actor, now_ms)?;
    if !caller::has_a_place(view, live.user(), live.rights())? {
        return Err(Refused::Unauthenticated("no workspace that is live"));
    }
    Ok(live.user().clone())
}

/// Decides on checks, all on one state. For an actor who is no longer live nothing is decided.
pub fn authorise(
    context: &Context,
    actor: &Actor,
    checks: &[Check],
    now_ms: u64,
) -> Result<Vec<Decision>, Refused> {
    let view = context.state.view()?;
    decide(&view, &caller::live_actor(&view, actor, now_ms)?, checks)
}

fn decide(view: &View, live: &Live, checks: &[Check]) -> Result<Vec<Decision>, Refused> {
    let decide = |check: &Check| {
        let workspace = match check.resource.workspace() {
            Some(id) => state::workspace(view, id)?,
            None => None,
        };
        Ok(policy::decide(live, check.capability, &check.resource, workspace.as_ref()))
    };
    checks.iter().map(decide).collect()
}

/// Tells what became of each, all on one state. A key may have moved on with its owner's password;
/// a session never does.
pub fn revalidate(
    context: &Context,
    claims: &[Claim],
    now_ms: u64,
) -> Result<Vec<Confirmed>, Refused> {
    let view = context.state.view()?;
    let confirm = |claim: &Claim| match caller::live_actor(&view, &claim.actor, now_ms) {
        Ok(live) if live.rights().is_empty() => bereft(&view, live.user(), now_ms),
        Ok(live) => decide(&view, &live, &claim.checks).map(Confirmed::Live),
        Err(Refused::Denied(_) | Refused::Unauthenticated(_)) => Ok(Confirmed::Ended),
        Err(other) => Err(other),
    };
    claims.iter().map(confirm).collect()
}

/// Why somebody can use no right at all.
fn bereft(view: &View, user: &User, now_ms: u64) -> Result<Confirmed, Refused> {
    let is_shut_out = !caller::unexpired(view, user, now_ms)?.is_empty();
    Ok(if is_shut_out { Confirmed::WorkspaceDisabled } else { Confirmed::Rightless })
}
