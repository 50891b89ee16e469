//! Sockets that are open: who holds which, and closing them without taking anything away.
//!
//! Gateways alone know of them, and are asked. That one is to be closed is an entry in the journal,
//! so that every gateway hears of it, whatever node it asks.

use std::collections::BTreeMap;

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{About, Credential, Found, LiveSocket, Reply, SessionRecord, Survey};
use tollgate_proto::ids::{AskId, GatewayId, SocketId, UserId, WorkspaceId};

use super::target::{Address, read_id};
use super::{Answered, Context, Request, caller, decide_and_commit, required};
use crate::commit::Decided;
use crate::draw;
use crate::feed;
use crate::policy::{self, Action};
use crate::record::{Change, Outcome};
use crate::refused::Refused;
use crate::state::{self, Read};
use crate::times;

/// When those may ask again who found no room.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// The caller's own sockets; those of a user; or those in a workspace whose users the caller manages.
pub(super) async fn list(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let about = {
        let view = context.state.view()?;
        let live = caller::live(&view, request)?;
        match (user_id, workspace) {
            (None, None) => {
                policy::allow(&live, &Action::ReadSessions { of: live.user() })?;
                About::User(live.user().id)
            }
            (Some(id), workspace) => {
                let address = Address::read(Some(id), workspace)?;
                let found = address.find(&view, &live, request, Capability::UsersAdmin)?;
                policy::allow(&live, &Action::ReadSessions { of: &found.user })?;
                address.check_home(&found.user)?;
                About::User(found.user.id)
            }
            (None, Some(workspace)) => {
                let invalid =
                    |error: tollgate_proto::ids::InvalidId| Refused::Invalid(error.to_string());
                let workspace: WorkspaceId = workspace.parse().map_err(invalid)?;
                policy::allow(&live, &Action::ReadSessionsIn { workspace: &workspace })?;
                About::Workspace(workspace)
            }
        }
    };
    let found = survey(context, about).await?;
    let is_cut = found.found.values().any(|found| found.count > found.sockets.len() as u64);
    let sessions = records(context, request, &found.found)?;
    let survey = Some(Survey { is_cut, ..reach(&found) });
    Ok(Reply { sessions, survey, ..Reply::default() }.into())
}

/// Closes all sockets of a user.
pub(super) async fn kick(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    caller::live(&context.state.view()?, request)?;
    let address = Address::read(user_id, workspace)?;
    let closing = Closing { request: request.clone(), address, socket: None };
    decide_and_commit(context, request, "kick-user", move |state| closing.decide(state)).await
}

/// Closes one socket that a gateway holds: of a user, or of whoever it is.
pub(super) async fn end(
    context: &Context,
    request: &Request,
    session_id: Option<String>,
    user_id: Option<String>,
) -> Result<Answered, Refused> {
    caller::live(&context.state.view()?, request)?;
    let socket = required(session_id, "session_id")?;
    let invalid = |_| Refused::Invalid("session_id must be a UUID".to_owned());
    let socket: SocketId = socket.parse().map_err(invalid)?;
    let named = user_id.map(|id| read_id(&id, "user_id")).transpose()?;
    let closing = |user| {
        let address = Address::of(user, None);
        Closing { request: request.clone(), address, socket: Some(socket) }
    };
    if let Some(user) = named {
        // Whoever may not close that user's sockets is not told whether this is one of them.
        closing(user).decide(&context.state.view()?)?;
    }
    let found = survey(context, About::Socket(socket)).await?;
    let Some(user) = holder(&found, socket).filter(|user| named.is_none_or(|it| it == *user))
    else {
        if named.is_none() {
            let live = caller::live(&context.state.view()?, request)?;
            policy::allow(&live, &Action::SeeMissing { capability: Capability::UsersAdmin })?;
        }
        return Err(Refused::NotFound(match found.silent.len() + found.silent_nodes {
            0 => "session not found",
            _ => "session not found at the gateways that answered; some did not: try kick-user",
        }));
    };
    let closing = closing(user);
    decide_and_commit(context, request, "end-session", move |state| closing.decide(state)).await
}

/// Counts the sockets that changes would concern.
pub(super) async fn count_concerned(
    context: &Context,
    request: &Request,
    changes: &[Change],
) -> Result<(u64, Survey), Refused> {
    let actor = request.actor.as_ref().map(|actor| actor.user);
    let moved = feed::would_move(actor, changes, &context.state.view()?)?;
    if moved.is_empty() {
        return Ok((0, Survey::default()));
    }
    let found = survey(context, About::Moved(moved)).await?;
    let sockets = found.found.values().map(|found| found.count).sum();
    Ok((sockets, reach(&found)))
}

/// Whom a question has reached.
fn reach(found: &feed::Survey) -> Survey {
    Survey {
        gateways_heard: found.found.len() as u64,
        gateways_silent: found.silent.len() as u64,
        nodes_silent: found.silent_nodes as u64,
        is_cut: false,
    }
}

fn holder(found: &feed::Survey, socket: SocketId) -> Option<UserId> {
    let mut sockets = found.found.values().flat_map(|found| &found.sockets);
    sockets.find(|held| held.id == socket).map(|held| held.user)
}

/// Asks the gateways of every node.
async fn survey(context: &Context, about: About) -> Result<feed::Survey, Refused> {
    let others = async { Ok(context.nodes.survey(&about).await) };
    // First our own: if too much is being asked, nobody else is.
    let (own, others) = tokio::try_join!(survey_own(context, about.clone()), others)?;
    Ok(own.and(others))
}

/// Asks the gateways that poll this node.
pub async fn survey_own(context: &Context, about: About) -> Result<feed::Survey, Refused> {
    let id = AskId(draw::uuid()?);
    let asked = context.feed.survey(id, about).await;
    asked.ok_or(Refused::TooMany { retry_after: RETRY })
}

/// What was found, as far as the caller may know of it now.
fn records(
    context: &Context,
    request: &Request,
    found: &BTreeMap<GatewayId, Found>,
) -> Result<Vec<SessionRecord>, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    let mut sockets: Vec<_> = found
        .iter()
        .flat_map(|(gateway, found)| found.sockets.iter().map(move |socket| (gateway, socket)))
        .collect();
    sockets.sort_by_key(|(_, socket)| (socket.opened_ms, socket.id));
    let mut records = Vec::new();
    for (gateway, socket) in sockets {
        let Some(user) = state::user(&view, socket.user)? else { continue };
        if policy::allow(&live, &Action::ReadSessions { of: &user }).is_ok() {
            records.push(record(*gateway, socket, user.username));
        }
    }
    Ok(records)
}

fn record(gateway: GatewayId, socket: &LiveSocket, username: String) -> SessionRecord {
    let (credential, credential_id) = match socket.credential {
        Credential::Key(id) => ("api-key", id.to_string()),
        Credential::Session(session) => ("session", session.id.to_string()),
        Credential::Minted { session, .. } => ("minted-session", session.id.to_string()),
    };
    SessionRecord {
        id: socket.id.to_string(),
        user_id: socket.user.to_string(),
        username,
        workspace: socket.workspace.to_string(),
        credential: credential.to_owned(),
        credential_id,
        address: socket.address.clone().unwrap_or_default(),
        opened: times::format(socket.opened_ms),
        gateway: gateway.to_string(),
    }
}

/// Sockets that are to be closed, ready to be decided on.
struct Closing {
    request: Request,
    address: Address,
    /// All of the user's, if it is not one.
    socket: Option<SocketId>,
}

impl Closing {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let live = caller::live(state, &self.request)?;
        let found = self.address.find(state, &live, &self.request, Capability::UsersAdmin)?;
        let allowed = policy::allow(&live, &Action::CloseSockets { target: found.target() })?;
        self.address.check_home(&found.user)?;
        let user = found.user.id;
        let change = match self.socket {
            None => Change::CloseSockets { user },
            Some(socket) => Change::CloseSocket { socket, user },
        };
        Ok(Decided { allowed, changes: vec![change], outcome: Outcome::Done })
    }
}
