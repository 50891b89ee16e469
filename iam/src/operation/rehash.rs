//! Passwords that are kept under fewer rounds than the policy of today asks for are hashed again
//! when their owners log in: only then are they known.
//!
//! It happens behind the answer and ends nothing. Where the pool is full, a later login does it.

use secrecy::SecretString;
use tollgate_proto::iam::Client;
use tollgate_proto::ids::{OperationId, UserId};

use super::Context;
use crate::commit::{Decided, Proposal, Writer};
use crate::draw;
use crate::passwords::Passwords;
use crate::policy;
use crate::record::{Change, Outcome, PasswordHash};
use crate::refused::Refused;
use crate::state::{self, Read};

/// A password that was right, and what is kept of it.
pub(super) struct Verified {
    pub(super) user: UserId,
    pub(super) password: SecretString,
    pub(super) kept: PasswordHash,
}

/// Hashes it again, behind the answer.
pub(super) fn later(context: &Context, verified: Verified) {
    let (passwords, writer) = (context.passwords.clone(), context.writer.clone());
    let at_ms = context.clock.now_ms();
    context.tasks.spawn(async move {
        let user = verified.user;
        match again(&passwords, &writer, verified, at_ms).await {
            Ok(()) => tracing::info!(%user, "a password is kept under the rounds of today"),
            Err(refused) => tracing::debug!(%user, %refused, "a password was not hashed again"),
        }
    });
}

async fn again(
    passwords: &Passwords,
    writer: &Writer,
    verified: Verified,
    at_ms: u64,
) -> Result<(), Refused> {
    let Verified { user, password, kept } = verified;
    let permit = passwords.permit().await?;
    let hash = passwords.hash(permit, password).await?;
    // Whoever set another password meanwhile keeps that.
    let decide = move |state: &dyn Read| {
        let now = state::user(state, user)?.and_then(|user| user.password);
        let is_same = now.is_some_and(|password| password.hash == kept);
        let change = is_same.then(|| Change::Rehash { user, hash: hash.clone() });
        let changes = change.into_iter().collect();
        Ok(Decided { allowed: policy::allow_upkeep(), changes, outcome: Outcome::Done })
    };
    let proposal = Proposal {
        id: OperationId(draw::uuid()?),
        operation: "rehash-password",
        actor: None,
        client: Client::default(),
        at_ms,
        decide: Box::new(decide),
    };
    writer.commit(proposal).await.map(drop)
}
