//! Tokens for somebody else: whoever may mint opens a session for a user who does not log in,
//! with a context that backends get to see and no decision looks at.

use tollgate_proto::capability::Capability;
use tollgate_proto::ids::{SessionId, WorkspaceId};
use tollgate_proto::json::{Limits, Object};
use tollgate_proto::jwt::Minter;

use super::target::{self, Address, Found};
use super::{Answered, Context, Request, caller, required, session};
use crate::draw;
use crate::policy::{self, Action, Live, Rights};
use crate::refused::Refused;
use crate::state::View;
use crate::tokens::{Minted, Session};

/// The longest context, in bytes.
const MAX_CONTEXT: usize = 4_096;

/// Whom a token is asked for, where, and what it carries.
pub(super) struct Order {
    pub(super) workspace: Option<String>,
    pub(super) user_context_json: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) username: Option<String>,
}

/// Mints a token. Nothing of it is kept: it dies with the user and with whoever minted it.
pub(super) fn mint(
    context: &Context,
    request: &Request,
    order: Order,
) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    let workspace = required(order.workspace, "workspace")?;
    let workspace: WorkspaceId = workspace.parse().map_err(|_| unknown_workspace())?;
    let user_context = order.user_context_json.map(read_context).transpose()?;
    let subject = find(&view, &live, request, order.user_id, order.username)?;
    let action = Action::MintToken { subject: subject.target(), workspace: &workspace };
    policy::allow(&live, &action)?;
    if !subject.user.is_live() {
        return Err(Refused::NotPermitted("user is disabled"));
    }
    if !caller::is_live(&view, &workspace)? {
        return Err(unknown_workspace());
    }
    if !Rights::of(&subject.grants, request.now_ms).reach(&workspace) {
        return Err(Refused::NotPermitted("user has no grant in the workspace"));
    }
    let minter = live.user();
    let session = Session {
        user: subject.user.id,
        auth_epoch: subject.user.auth_epoch,
        workspace,
        id: SessionId(draw::uuid()?),
        minted: Some(Minted { by: Minter { sub: minter.id, ae: minter.auth_epoch }, user_context }),
    };
    let issued = context.tokens.issue(&view, &session, request.now_ms / 1_000)?;
    tracing::info!(
        operation = "mint-token",
        user = %subject.user.id,
        by = %minter.id,
        session = %session.id,
        request.id = %request.id,
        "done"
    );
    Ok(session::disclose(issued))
}

/// The user that a token is for; without a name, the caller. That there is none is said only to
/// those who may mint for all.
fn find(
    view: &View,
    live: &Live,
    request: &Request,
    user_id: Option<String>,
    username: Option<String>,
) -> Result<Found, Refused> {
    let id = match (user_id, username) {
        (Some(_), Some(_)) => {
            return Err(Refused::Invalid("user_id or username, not both".to_owned()));
        }
        (Some(id), None) => Some(target::read_id(&id, "user_id")?),
        (None, Some(name)) => session::user_named(view, &name)?.map(|user| user.id),
        (None, None) => Some(live.user().id),
    };
    let capability = Capability::MintToken;
    let Some(id) = id else {
        policy::allow(live, &Action::SeeMissing { capability })?;
        return Err(Refused::NotFound("user not found"));
    };
    Address::of(id, None).find(view, live, request, capability)
}

fn read_context(text: String) -> Result<String, Refused> {
    let fits = text.len() <= MAX_CONTEXT && Object::parse(&text, Limits::STRANGER).is_ok();
    if fits {
        return Ok(text);
    }
    Err(Refused::Invalid(format!(
        "user_context_json must be the text of a JSON object, at most {MAX_CONTEXT} bytes"
    )))
}

fn unknown_workspace() -> Refused {
    Refused::NotFound("workspace not found or disabled")
}
