//! The operations: what is asked is checked, prepared, decided and answered.
//!
//! In: a question with its actor, parsed once. Out: an answer with the entry that it rests on, or
//! [`Refused`]. Policy is asked on the present state before anything is drawn or hashed; what
//! changes something is decided again by the writer, on the state that it is appended to.
//! Never: a change that did not go through `commit`.

mod caller;
mod manner;
mod record;
pub mod access;
pub mod bootstrap;
pub mod admin;
mod session;
mod rehash;
mod logout;
mod user;
mod grant;
mod key;
mod workspace;
pub mod signing;
mod mint;
pub mod sockets;
mod target;
mod expires;
mod last_admin;

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tollgate_proto::iam::{Actor, Client, Manner, Operation, Reply};
use tollgate_proto::ids::{OperationId, Seq};
use tollgate_runtime::clock::SharedClock;

use crate::audit::Audit;
use crate::commit::{Decided, Proposal, Settled, Writer};
use crate::config::BootstrapMode;
use crate::feed::Feed;
use crate::journal::Journal;
use crate::last_used::LastUsed;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::passwords::Passwords;
use crate::record::{Change, Outcome};
use crate::refused::Refused;
use crate::state::{self, Read, State, View};
use crate::throttle::Throttle;
use crate::tokens::Tokens;

/// What operations work with.
#[derive(Debug)]
pub struct Context {
    /// What is, for reading.
    pub state: State,
    /// What was.
    pub journal: Arc<dyn Journal>,
    /// The only way to change anything.
    pub writer: Writer,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What gateways hear of it.
    pub feed: Arc<Feed>,
    /// Who else tells gateways of it.
    pub nodes: Nodes,
    /// What leaves no entry is written down there.
    pub audit: Audit,
    /// Hashing.
    pub passwords: Passwords,
    /// Brakes on guessing.
    pub throttle: Throttle,
    /// Sessions.
    pub tokens: Tokens,
    /// What is done behind an answer.
    pub tasks: TaskTracker,
    /// When keys were used.
    pub last_used: Arc<LastUsed>,
    /// The time.
    pub clock: SharedClock,
    /// How the first admin comes to be.
    pub mode: BootstrapMode,
    /// When this process started: mode `bootstrap` is open for an hour.
    pub started_ms: u64,
    /// A private key that the operator brought to sign the first tokens with.
    pub signing_key: Option<SigningKey>,
}

/// Who asks, from where, and under which id.
#[derive(Debug, Clone)]
pub struct Request {
    /// The same id again is the same operation again.
    pub id: OperationId,
    /// From where.
    pub client: Client,
    /// Who, unless the operation is public.
    pub actor: Option<Actor>,
    /// When it came, in milliseconds since 1970.
    pub now_ms: u64,
    /// How it is to be done.
    pub manner: Manner,
}

/// What came of a proposal.
enum Proposed {
    /// It is in the journal, or nothing had to change.
    Settled(Settled),
    /// It would change this.
    Rehearsed(Vec<Change>),
}

/// An answer, and the entry that it made, if it made one.
#[derive(Debug, Default)]
pub struct Answered {
    /// The answer.
    pub reply: Reply,
    /// The entry.
    pub seq: Option<Seq>,
    /// The session that it opened, with its user.
    pub opened: Option<Actor>,
    /// What it would have changed, if it was not to be done.
    rehearsed: Option<Vec<Change>>,
}

impl From<Reply> for Answered {
    fn from(reply: Reply) -> Self {
        Self { reply, ..Self::default() }
    }
}

/// Does an operation of the public surface.
pub async fn operate(
    context: &Context,
    request: &Request,
    operation: Operation,
) -> Result<Answered, Refused> {
    let mut answered = match operation {
        Operation::Bootstrap {} => {
            once(context, request, operation).await.map_err(bootstrap::masked)?
        }
        other => once(context, request, other).await?,
    };
    manner::follow(context, request, &mut answered).await?;
    answered.reply.bootstrap_available = bootstrap::is_available(context)?;
    Ok(answered)
}

/// Does an operation, or answers what came of it before.
async fn once(
    context: &Context,
    request: &Request,
    operation: Operation,
) -> Result<Answered, Refused> {
    match first_outcome(context, request, operation.name())? {
        Some(answered) => Ok(answered),
        None => perform(context, request, operation).await,
    }
}

#[expect(clippy::too_many_lines, reason = "the table of operations, a line or three for each")]
async fn perform(
    context: &Context,
    request: &Request,
    operation: Operation,
) -> Result<Answered, Refused> {
    match operation {
        Operation::Bootstrap {} => bootstrap::claim(context, request).await,
        Operation::BootstrapStatus {} => Ok(Answered::default()),
        Operation::Login { username, password, workspace } => {
            session::login(context, request, username, password, workspace).await
        }
        Operation::Whoami {} => session::whoami(context, request),
        Operation::ListMyWorkspaces {} => session::list_workspaces(context, request),
        Operation::ChangePassword { user_id, password, new_password, revoke_keys } => {
            let revoke_keys = revoke_keys.unwrap_or(false);
            session::change_password(context, request, user_id, password, new_password, revoke_keys)
                .await
        }
        Operation::CreateUser { workspace, user } => {
            user::create(context, request, workspace, user).await
        }
        Operation::ListUsers { workspace } => user::list(context, request, workspace),
        Operation::CreateApiKey { workspace, key } => {
            key::create(context, request, workspace, key).await
        }
        Operation::ListApiKeys { user_id, workspace } => {
            key::list(context, request, user_id, workspace).await
        }
        Operation::RevokeApiKey { key_id, workspace } => {
            key::revoke(context, request, key_id, workspace).await
        }
        Operation::CreateWorkspace { workspace_record } => {
            workspace::create(context, request, workspace_record).await
        }
        Operation::ListWorkspaces {} => workspace::list(context, request),
        Operation::GetWorkspace { workspace_record } => {
            workspace::get(context, request, workspace_record)
        }
        Operation::UpdateWorkspace { workspace_record } => {
            workspace::update(context, request, workspace_record).await
        }
        Operation::DisableWorkspace { workspace_record } => {
            workspace::disable(context, request, workspace_record).await
        }
        Operation::Logout {} => logout::logout(context, request).await,
        Operation::GetUser { user_id, workspace } => {
            user::get(context, request, user_id, workspace)
        }
        Operation::UpdateUser { user_id, workspace, user } => {
            user::update(context, request, user_id, workspace, user).await
        }
        Operation::DisableUser { user_id, workspace } => {
            user::disable(context, request, user_id, workspace).await
        }
        Operation::EnableUser { user_id, workspace } => {
            user::enable(context, request, user_id, workspace).await
        }
        Operation::DeleteUser { user_id, workspace } => {
            user::delete(context, request, user_id, workspace).await
        }
        Operation::ResetPassword { user_id, workspace } => {
            user::reset_password(context, request, user_id, workspace).await
        }
        Operation::AddUserGrant { user_id, grant } => {
            grant::add(context, request, user_id, grant).await
        }
        Operation::RemoveUserGrant { user_id, grant } => {
            grant::remove(context, request, user_id, grant).await
        }
        Operation::ListUserGrants { user_id } => grant::list(context, request, user_id),
        Operation::ResolveEffectivePermissions { user_id } => {
            grant::resolve(context, request, user_id)
        }
        Operation::RotateSigningKey { revoke } => signing::rotate(context, request, revoke).await,
        Operation::MintToken { workspace, user_context_json, user_id, username } => {
            let order = mint::Order { workspace, user_context_json, user_id, username };
            mint::mint(context, request, order)
        }
        Operation::ListSessions { user_id, workspace } => {
            sockets::list(context, request, user_id, workspace).await
        }
        Operation::KickUser { user_id, workspace } => {
            sockets::kick(context, request, user_id, workspace).await
        }
        Operation::EndSession { session_id, user_id } => {
            sockets::end(context, request, session_id, user_id).await
        }
        Operation::CreateGroup {}
        | Operation::GetGroup {}
        | Operation::ListGroups {}
        | Operation::UpdateGroup {}
        | Operation::DeleteGroup {}
        | Operation::AddGroupMember {}
        | Operation::RemoveGroupMember {}
        | Operation::ListGroupMembers {}
        | Operation::AddGroupGrant {}
        | Operation::RemoveGroupGrant {}
        | Operation::ListGroupGrants {} => {
            // What is not offered is not told to those who are nobody.
            caller::live(&context.state.view()?, request)?;
            Err(Refused::NotSupported("not supported"))
        }
    }
}

/// What came of the operation the first time, if this is not the first.
fn first_outcome(
    context: &Context,
    request: &Request,
    name: &str,
) -> Result<Option<Answered>, Refused> {
    let view = context.state.view()?;
    let Some(done) = state::done(&view, request.id)? else { return Ok(None) };
    let actor = request.actor.as_ref().map(|actor| actor.user);
    if !done.is_of(name, actor) {
        return Err(Refused::Duplicate("the operation id was used before"));
    }
    if actor.is_some() {
        caller::live(&view, request)?;
    }
    let reply = reply_to(&view, &done.outcome, request.now_ms, true)?;
    Ok(Some(Answered { reply, seq: Some(done.seq), ..Answered::default() }))
}

/// Hands an operation to the writer; `decide` was asked on the present state before. One that is
/// not to be done is decided here, and goes no further.
async fn propose(
    context: &Context,
    request: &Request,
    operation: &'static str,
    decide: impl Fn(&dyn Read) -> Result<Decided, Refused> + Send + 'static,
) -> Result<Proposed, Refused> {
    if request.manner == Manner::DryRun {
        context.writer.freshen(Instant::now()).await?;
        return Ok(Proposed::Rehearsed(decide(&context.state.view()?)?.changes));
    }
    let proposal = Proposal {
        id: request.id,
        operation,
        actor: request.actor.clone(),
        client: request.client.clone(),
        at_ms: request.now_ms,
        decide: Box::new(decide),
    };
    let settled = context.writer.commit(proposal).await?;
    tracing::info!(operation, seq = %settled.seq, request.id = %request.id, "done");
    Ok(Proposed::Settled(settled))
}

/// Decides on the present state, which refuses early, and again on the one that is appended to.
async fn decide_and_commit(
    context: &Context,
    request: &Request,
    operation: &'static str,
    decide: impl Fn(&dyn Read) -> Result<Decided, Refused> + Send + 'static,
) -> Result<Answered, Refused> {
    decide(&context.state.view()?)?;
    let proposed = propose(context, request, operation, decide).await?;
    answer(context, request, proposed)
}

/// The answer to what was settled, from the state as it is now.
fn answer(context: &Context, request: &Request, proposed: Proposed) -> Result<Answered, Refused> {
    match proposed {
        Proposed::Settled(settled) => {
            let view = context.state.view()?;
            let reply = reply_to(&view, &settled.outcome, request.now_ms, settled.repeated)?;
            Ok(Answered { reply, seq: Some(settled.seq), ..Answered::default() })
        }
        Proposed::Rehearsed(changes) => {
            Ok(Answered { rehearsed: Some(changes), ..Answered::default() })
        }
    }
}

fn reply_to(view: &View, outcome: &Outcome, now_ms: u64, repeated: bool) -> Result<Reply, Refused> {
    let mut reply = Reply::default();
    match outcome {
        Outcome::User(id) => {
            let user = state::user(view, *id)?;
            reply.user = user.map(|user| record::user(view, &user, now_ms)).transpose()?;
        }
        Outcome::Workspace(id) => {
            reply.workspace = state::workspace(view, id)?.as_ref().map(record::workspace);
        }
        Outcome::SigningKey(name) => reply.signing_key_id = Some(name.to_string()),
        Outcome::Secret if repeated => {
            return Err(Refused::Duplicate("it was done before; a secret is disclosed once"));
        }
        Outcome::Done | Outcome::Secret => {}
    }
    Ok(reply)
}

/// A field that must be there.
fn required<T>(field: Option<T>, name: &str) -> Result<T, Refused> {
    field.ok_or_else(|| Refused::Invalid(format!("{name} required")))
}
