//! `POST /api/v1/auth/…`: the requests of those who are nobody yet, and of those who change how
//! they become somebody. Whatever the reason of a refusal, it looks alike.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::{Actor, Operation, Refusal, RefusalKind, Via};
use tollgate_proto::json::{Limits, Object};
use tollgate_proto::secret::SecretString;

use super::answer::{bad_request, ok, read_body, refuse};
use super::body::Pace;
use super::calls::bearer_known;
use super::{LOGIN_BODY, SMALL_BODY};
use crate::call::Fate;
use crate::handles::Handles;
use crate::iam::NotDone;
use crate::peer::Peer;
use crate::reply::rate_limited;

type Shared = State<Arc<Handles>>;

/// Claims a fresh deployment. The body is not looked at.
pub(super) async fn bootstrap(
    handles: Shared,
    Extension(peer): Extension<Peer>,
    Extension(fate): Extension<Arc<Fate>>,
) -> Response {
    change(&handles, peer, &fate, None, Operation::Bootstrap {}).await
}

/// Whether a fresh deployment waits to be claimed.
pub(super) async fn bootstrap_status(
    handles: Shared,
    Extension(peer): Extension<Peer>,
) -> Response {
    run(&handles, peer, None, Operation::BootstrapStatus {}).await
}

/// Opens a session.
pub(super) async fn login(
    handles: Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    #[derive(Deserialize)]
    struct Login {
        #[serde(default)]
        username: Option<String>,
        #[serde(default)]
        password: Option<SecretString>,
        #[serde(default)]
        workspace: Option<String>,
    }
    let body = match read_json::<Login>(request, LOGIN_BODY).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let operation = Operation::Login {
        username: body.username,
        password: body.password,
        workspace: body.workspace.filter(|workspace| !workspace.is_empty()),
    };
    run(&handles, peer, None, operation).await
}

/// Changes the caller's own password.
pub(super) async fn change_password(
    handles: Shared,
    Extension(peer): Extension<Peer>,
    Extension(fate): Extension<Arc<Fate>>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    #[derive(Deserialize)]
    struct Change {
        #[serde(default)]
        current_password: Option<SecretString>,
        #[serde(default)]
        new_password: Option<SecretString>,
    }
    let client = peer.client(Via::Http);
    let identity = match bearer_known(&handles, &headers, &client).await {
        Ok(Some(known)) => known.identity,
        Ok(None) => return refuse(&ErrorKind::AuthRequired.into()),
        Err(error) => return refuse(&error),
    };
    let body = match read_json::<Change>(request, SMALL_BODY).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let Some(password) = body.current_password else {
        return bad_request("password (current) required");
    };
    let Some(new_password) = body.new_password else {
        return bad_request("new_password required");
    };
    let operation = Operation::ChangePassword {
        user_id: Some(identity.actor.user.to_string()),
        password: Some(password),
        new_password: Some(new_password),
        revoke_keys: None,
    };
    change(&handles, peer, &fate, Some(identity.actor.clone()), operation).await
}

/// Runs what changes something, unless the request was given up before.
async fn change(
    handles: &Handles,
    peer: Peer,
    fate: &Fate,
    actor: Option<Actor>,
    operation: Operation,
) -> Response {
    if !fate.send() {
        return refuse(&ErrorKind::Cancelled.into());
    }
    run(handles, peer, actor, operation).await
}

async fn run(
    handles: &Handles,
    peer: Peer,
    actor: Option<Actor>,
    operation: Operation,
) -> Response {
    let name = operation.name();
    let client = peer.client(Via::Http);
    let outcome = handles.questions.operate(actor, operation.into(), &client).await;
    match outcome {
        Ok(reply) => ok(serde_json::to_string(&reply).unwrap_or_default()),
        Err(NotDone::Ended(_)) => refuse(&ErrorKind::AuthRequired.into()),
        Err(NotDone::Refused(refusal)) => refuse(&mask(name, &refusal)),
        Err(NotDone::TooOften(it)) => refuse(&rate_limited(it)),
        Err(NotDone::Unreachable(unreachable)) => {
            tracing::warn!(operation = name, %unreachable, "operation of iam failed");
            refuse(&ErrorKind::Unavailable.into())
        }
    }
}

/// Wrong passwords, unknown users and a bootstrap that is not to be had look alike. What the
/// caller can mend (a password that breaks the policy) is said.
fn mask(operation: &str, refusal: &Refusal) -> WireError {
    tracing::debug!(operation, reason = %refusal, "refused");
    match refusal.kind {
        RefusalKind::TooManyRequests => WireError {
            retry_after_ms: refusal.retry_after_ms,
            ..WireError::new(ErrorKind::RateLimited)
        },
        RefusalKind::Unavailable | RefusalKind::InternalError => ErrorKind::Unavailable.into(),
        // Whoever changes a password is known already.
        RefusalKind::AccessDenied if operation == "change-password" => {
            ErrorKind::AccessDenied.into()
        }
        RefusalKind::WeakPassword | RefusalKind::InvalidArgument
            if operation == "change-password" =>
        {
            WireError::with_message(ErrorKind::InvalidRequest, refusal.message.clone())
        }
        RefusalKind::WeakPassword
        | RefusalKind::InvalidArgument
        | RefusalKind::NotFound
        | RefusalKind::Duplicate
        | RefusalKind::AuthFailed
        | RefusalKind::AccessDenied
        | RefusalKind::OperationNotPermitted
        | RefusalKind::NotSupported => ErrorKind::AuthRequired.into(),
    }
}

async fn read_json<T: for<'de> Deserialize<'de>>(
    request: Request,
    most: usize,
) -> Result<T, Response> {
    let text = read_body(request, most, Pace::Stranger).await?;
    let is_object = Object::parse(&text, Limits::STRANGER).is_ok();
    if !is_object {
        return Err(bad_request("invalid json"));
    }
    serde_json::from_str(&text).map_err(|_| bad_request("invalid json"))
}
