//! `POST /api/v1/iam`, `/api/v1/{kind}` and `/api/v1/flow/{flow}/service/{kind}`: one call, one
//! answer. A stream is answered with its last chunk, as existing clients expect.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request as HttpRequest, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::{Client, Via};
use tollgate_proto::json::{Limits, Object, ObjectError};
use tollgate_proto::secret::SecretString;

use super::answer::{bad_request, no_such_path, ok, read_body, refuse};
use super::body::Pace;
use super::observe::source_of;
use super::path::{self, OfFlow};
use super::watch::Watch;
use super::{LARGE_BODY, SMALL_BODY};
use crate::auth::authenticate;
use crate::authorise::Caller;
use crate::call::{Fate, TraceParent};
use crate::handles::{Handles, Rules};
use crate::iam::NotAuthenticated;
use crate::iam::cache::Known;
use crate::peer::Peer;
use crate::record::{Record, Source};
use crate::registry::IAM;
use crate::registry::resolve::Request;
use crate::reply::{Chunks, END_OF_STREAM, Failed, Part};
use crate::seats::Seat;
use crate::sessions::Gate;

type Shared = State<Arc<Handles>>;

/// An operation of IAM.
pub(super) async fn iam(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    request: HttpRequest,
) -> Response {
    call(&handles, peer, &headers, request, IAM, None).await
}

/// An operation of a service of the workspace.
pub(super) async fn service(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    request: HttpRequest,
) -> Response {
    let uri = request.uri().clone();
    match path::service(uri.path()) {
        Some(kind) => call(&handles, peer, &headers, request, kind, None).await,
        None => no_such_path().await.into_response(),
    }
}

/// A service of a flow.
pub(super) async fn flow_service(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    request: HttpRequest,
) -> Response {
    let uri = request.uri().clone();
    let is_known =
        |path: &OfFlow<'_>| handles.rules.load().registry.flow_service(path.kind).is_some();
    match OfFlow::of(uri.path()).filter(is_known) {
        Some(path) => call(&handles, peer, &headers, request, path.kind, Some(&path)).await,
        None => refuse(&WireError::with_message(ErrorKind::NotFound, "unknown kind")),
    }
}

async fn call(
    handles: &Handles,
    peer: Peer,
    headers: &HeaderMap,
    request: HttpRequest,
    service: &str,
    flow: Option<&OfFlow<'_>>,
) -> Response {
    let (client, source) = (peer.client(Via::Http), source_of(&request));
    let gate = gate_of(&request);
    let fate = request.extensions().get::<Arc<Fate>>().cloned();
    let known = bearer_known(handles, headers, &client).await;
    if let (Ok(Some(_)), Some(seat)) = (&known, request.extensions().get::<Arc<Seat>>()) {
        seat.trust();
    }
    // Clients of old expect 401 before anything about the body here, and after it elsewhere.
    if flow.is_some() && !matches!(known, Ok(Some(_))) {
        return refuse(&known.err().unwrap_or(ErrorKind::AuthRequired.into()));
    }
    let (most, pace, limits) = match known {
        Ok(Some(_)) if service == IAM => (SMALL_BODY, Pace::Friend, Limits::FRIEND),
        Ok(Some(_)) => (LARGE_BODY, Pace::Friend, Limits::FRIEND),
        Ok(None) | Err(_) => (SMALL_BODY, Pace::Stranger, Limits::STRANGER),
    };
    let body = match read_body(request, most, pace).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let object = match parse(&body, limits) {
        Ok(object) => object,
        Err(reason) => return bad_request(reason),
    };
    let rules = handles.rules.load_full();
    if flow.is_none()
        && let Some(refusal) = unknown_operation(&rules, service, &object)
    {
        return refusal;
    }
    let known = match known {
        Ok(known) => known,
        Err(error) => return refuse(&error),
    };
    let flow = match flow.map(OfFlow::flow).transpose() {
        Ok(flow) => flow.map(Cow::Owned),
        Err(error) => return refuse(&error),
    };
    let workspace = match workspace_of(&object) {
        Ok(workspace) => workspace,
        // Whoever is nobody hears that first.
        Err(_) if known.is_none() => None,
        Err(reason) => return bad_request(reason),
    };
    let asked = Request {
        service: Cow::Borrowed(service),
        flow,
        workspace: workspace.map(Into::into),
        body: Ok(object),
        deadline: None,
        traceparent: traceparent(headers),
        fate,
    };
    match answer(handles, &rules, &gate, (source, client), known, asked).await {
        Ok(body) => ok(body),
        Err(error) => refuse(&error),
    }
}

async fn answer(
    handles: &Handles,
    rules: &Rules,
    gate: &Arc<Gate>,
    (source, client): (Source, Client),
    known: Option<Known>,
    asked: Request<'_>,
) -> Result<String, WireError> {
    let identity = known.as_ref().map(|known| &*known.identity);
    let call = Box::new(rules.registry.resolve(asked, identity)?);
    let mut record = Record::new(source, &call, identity);
    let watch = known.as_ref().map(|known| Watch::over(handles, known, gate, &call));
    let caller = known.map(|known| Arc::new(Caller::new(known)));
    let (queue, mut parts) = mpsc::channel(1);
    let run = async {
        let chunks = Chunks::new(0, queue);
        rules.dispatcher.answer(caller, Arc::new(client), call, &chunks).await
    };
    let keep_last = async {
        let mut last = None;
        while let Some(reply) = parts.recv().await {
            if let Part::Chunk(chunk) = reply.part {
                last = Some(chunk);
            }
        }
        last
    };
    let run = async { tokio::join!(run, keep_last) };
    let (outcome, last) = match watch {
        None => run.await,
        Some(watch) => match watch.during(run).await {
            Ok(ended) => ended,
            Err(over) => (Err(over.kind().into()), None),
        },
    };
    let outcome = outcome.map_err(|Failed { error, reason }| {
        record.because(reason);
        error
    });
    record.end(None, outcome.as_ref().err());
    // The end of a stream alone would tell nothing.
    match last {
        Some(last) if outcome.as_ref().is_ok_and(|body| body == END_OF_STREAM) => Ok(last),
        Some(_) | None => outcome,
    }
}

fn parse(body: &str, limits: Limits) -> Result<Object<'_>, &'static str> {
    Object::parse(body, limits).map_err(|error| match error {
        ObjectError::NotJson => "invalid json",
        ObjectError::NotAnObject => "body must be an object",
        ObjectError::DuplicateKey => "a key is repeated",
        ObjectError::BeyondLimits => "nested too deep, too many members or a number too long",
    })
}

/// The workspace that a body names. What is no name is not taken for none: the call would go on
/// somewhere else.
fn workspace_of(body: &Object<'_>) -> Result<Option<String>, &'static str> {
    let Some(named) = body.get("workspace").filter(|named| named.get() != "null") else {
        return Ok(None);
    };
    let name = named.text().ok_or("the workspace is no text")?;
    Ok((!name.is_empty()).then(|| name.into_owned()))
}

/// Said before authentication: the registry is no secret, and clients of old expect it so.
fn unknown_operation(rules: &Rules, service: &str, body: &Object<'_>) -> Option<Response> {
    let Some(operation) = body.text("operation") else {
        return Some(bad_request("missing operation"));
    };
    match rules.registry.operation(service, &operation) {
        Some(_) => None,
        None => Some(bad_request("unknown operation")),
    }
}

/// The trace that a request belongs to, if it says so.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(TraceParent::parse)
}

/// What tells whether the connection's task is in the midst of something.
pub(super) fn gate_of(request: &HttpRequest) -> Arc<Gate> {
    request.extensions().get().cloned().unwrap_or_default()
}

/// Whose request this is: nobody's without a credential, an error with one that is not taken.
pub(super) async fn bearer_known(
    handles: &Handles,
    headers: &HeaderMap,
    client: &Client,
) -> Result<Option<Known>, WireError> {
    if !headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    known_of(handles, bearer(headers).as_ref(), client).await.map(Some)
}

/// Whose credential this is; an error without one.
pub(super) async fn known_of(
    handles: &Handles,
    token: Option<&SecretString>,
    client: &Client,
) -> Result<Known, WireError> {
    let known = authenticate(&handles.questions, token, client).await;
    known.map_err(|error| match error {
        NotAuthenticated::Refused(_) => ErrorKind::AuthRequired.into(),
        NotAuthenticated::Unreachable(_) => ErrorKind::Unavailable.into(),
    })
}

/// The token of `Authorization: Bearer …`; the scheme in any case (RFC 9110 §11.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.into())
}
