//! `GET /api/v1/document-stream`, `GET /api/v1/export-core`, `POST /api/v1/import-core` and `GET
//! /api/metrics/{path}`: bytes of a backend, or for it.
//!
//! Streams are passed on as they come and never held whole; metrics are text of a bounded size.
//! All of them are authorised like every call, and nothing of a body is read before.

use std::fmt::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http_body_util::{Either, Full};
use tokio::time::timeout;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::{Client, Via};

use super::STREAMED_BODY;
use super::answer::{bad_body, no_such_path, refuse, unencoded};
use super::body::{Bounded, Fault, Pace};
use super::calls::{bearer, gate_of, known_of, traceparent};
use super::observe::source_of;
use super::query::{Query, encode};
use crate::authorise::Caller;
use crate::call::Call;
use crate::dispatch::Passage;
use crate::handles::{Handles, Rules};
use crate::iam::cache::Known;
use crate::peer::Peer;
use crate::record::{Record, Source};
use crate::registry::Stream;
use crate::registry::passage::Asked;
use crate::seats::Seat;
use crate::sessions::{Gate, Held};
use crate::tenure::Tenure;
use crate::upstream::{Answer, Place};

type Shared = State<Arc<Handles>>;

/// A document's content.
pub(super) async fn document(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let from = From { stream: Stream::Document, required: "document-id", also: Some("chunk-size") };
    let answered = from.download(&handles, peer, &Head::of(&request)).await;
    answered.unwrap_or_else(|refusal| refusal)
}

/// A knowledge core, out of the workspace.
pub(super) async fn export_core(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let from = From { stream: Stream::ExportCore, required: "id", also: None };
    let answered = from.download(&handles, peer, &Head::of(&request)).await;
    answered.unwrap_or_else(|refusal| refusal)
}

/// A knowledge core, into the workspace.
pub(super) async fn import_core(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let from = From { stream: Stream::ImportCore, required: "id", also: None };
    let answered = from.upload(&handles, peer, request).await;
    answered.unwrap_or_else(|refusal| refusal)
}

/// What a request says before its body.
struct Head {
    source: Source,
    seat: Option<Arc<Seat>>,
    gate: Arc<Gate>,
    uri: Uri,
    headers: HeaderMap,
}

impl Head {
    fn of(request: &Request) -> Self {
        Self {
            source: source_of(request),
            seat: request.extensions().get().cloned(),
            gate: gate_of(request),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        }
    }

    /// Whose request it is.
    async fn known(&self, handles: &Handles, client: &Client) -> Result<Known, WireError> {
        let known = known_of(handles, bearer(&self.headers).as_ref(), client).await?;
        if let Some(seat) = &self.seat {
            seat.trust();
        }
        Ok(known)
    }

    async fn open(
        &self,
        rules: &Rules,
        known: Known,
        client: Client,
        call: Call,
    ) -> Result<Passage, WireError> {
        let record = Record::new(self.source, &call, Some(&known.identity));
        let (caller, client) = (Arc::new(Caller::new(known)), Arc::new(client));
        rules.dispatcher.open(record, Some(caller), client, Box::new(call)).await
    }
}

/// A stream, and what its query must and may hold.
struct From {
    stream: Stream,
    required: &'static str,
    also: Option<&'static str>,
}

impl From {
    async fn download(
        self,
        handles: &Arc<Handles>,
        peer: Peer,
        head: &Head,
    ) -> Result<Response, Response> {
        let (passage, query) = self.open(handles, peer, head).await?;
        let place = Place { below: "", query: &query };
        let body = Either::Left(Full::default());
        let asked = passage.backend.exchange(&passage.permit, Method::GET, place, body);
        let answer = timeout(passage.permit.call().budget, asked).await;
        let answer = answer.unwrap_or_else(|_| Err(ErrorKind::DeadlineExceeded.into()));
        Ok(pass_on(handles, passage, answer, &head.gate))
    }

    async fn upload(
        self,
        handles: &Arc<Handles>,
        peer: Peer,
        request: Request,
    ) -> Result<Response, Response> {
        let head = Head::of(&request);
        let (passage, query) = self.open(handles, peer, &head).await?;
        let body = Bounded::new(unencoded(request)?, STREAMED_BODY, Pace::Friend);
        if body.size_hint().lower() > STREAMED_BODY as u64 {
            passage.record.end(None, Some(&ErrorKind::TooLarge.into()));
            return Err(bad_body(Fault::TooLarge));
        }
        let fate = body.fate();
        let tenure = Tenure::new(
            Arc::clone(handles),
            Arc::clone(&passage.permit),
            Held::ByRequest,
            &head.gate,
        );
        let place = Place { below: "", query: &query };
        let body = Either::Right(Body::new(body.under(tenure)));
        let answer = {
            let Passage { permit, backend, .. } = &passage;
            let mut asked = pin!(backend.exchange(permit, Method::POST, place, body));
            // As long as bytes come, the backend need not have answered.
            loop {
                let before = fate.received();
                match timeout(permit.call().budget, &mut asked).await {
                    Ok(answer) => break answer,
                    Err(_) if fate.received() > before => {}
                    Err(_) => break Err(ErrorKind::DeadlineExceeded.into()),
                }
            }
        };
        match fate.fault() {
            // What the backend makes of half a body is nobody's concern.
            Some(fault) => {
                let kind = match fault {
                    Fault::Over(over) => over.kind(),
                    Fault::TooLarge | Fault::TooSlow | Fault::Broken => ErrorKind::InvalidRequest,
                };
                passage.record.end(None, Some(&kind.into()));
                Err(bad_body(fault))
            }
            None => Ok(pass_on(handles, passage, answer, &head.gate)),
        }
    }

    /// Authorises it. Gives what is passed on of the query, which is what was understood of it.
    async fn open(
        &self,
        handles: &Arc<Handles>,
        peer: Peer,
        head: &Head,
    ) -> Result<(Passage, String), Response> {
        let told = |error: WireError| refuse(&error);
        let client = peer.client(Via::Http);
        let known = head.known(handles, &client).await.map_err(told)?;
        let sent = Query::of(&head.uri);
        let missing = || {
            let message = format!("{} required", self.required);
            WireError::with_message(ErrorKind::InvalidRequest, message)
        };
        let mut query = String::new();
        let required = sent.get(self.required).map_err(told)?.ok_or_else(missing).map_err(told)?;
        let _ = write!(query, "{}={}", self.required, encode(&required));
        if let Some(name) = self.also
            && let Some(value) = sent.get(name).map_err(told)?
        {
            let _ = write!(query, "&{name}={}", encode(&value));
        }
        let workspace = sent.get("workspace").map_err(told)?;
        let rules = handles.rules.load_full();
        let entry = rules.registry.stream(self.stream).ok_or_else(|| told(internal()))?;
        let asked = Asked {
            flow: None,
            workspace: workspace.as_deref(),
            traceparent: traceparent(&head.headers),
        };
        let call = entry.resolve_passage(asked, Some(&known.identity)).map_err(told)?;
        let opened = head.open(&rules, known, client, call).await;
        let passage = opened.map_err(told)?;
        if let Some(workspace) = passage.permit.workspace() {
            // A workspace id needs no escapes.
            let _ = write!(query, "&workspace={workspace}");
        }
        Ok((passage, query))
    }
}

fn internal() -> WireError {
    ErrorKind::Internal.into()
}

/// The backend's bytes as they come, if they are of use.
fn pass_on(
    handles: &Arc<Handles>,
    passage: Passage,
    answer: Result<Answer, WireError>,
    gate: &Arc<Gate>,
) -> Response {
    let Passage { permit, backend, record } = passage;
    let is_plain = |answer: &Answer| !answer.head.headers.contains_key(CONTENT_ENCODING);
    let error = match answer {
        Ok(answer) if answer.head.status.is_success() && is_plain(&answer) => {
            let octets = HeaderValue::from_static("application/octet-stream");
            let within = permit.call().budget;
            let tenure = Tenure::new(Arc::clone(handles), permit, Held::ByRequest, gate);
            let mut response = Response::new(stream_of(answer, record, tenure, within));
            response.headers_mut().insert(CONTENT_TYPE, octets);
            return response;
        }
        Ok(answer) => backend.refused(&permit, &answer.head),
        Err(error) => error,
    };
    record.end(None, Some(&error));
    refuse(&error)
}

/// Read no faster than it is taken, and as long as the permit holds. A stream that breaks off is
/// broken off: half a document shall not look whole.
fn stream_of(answer: Answer, record: Record, tenure: Tenure, within: Duration) -> Body {
    let pieces = stream::unfold(Some((answer, record, tenure)), move |state| async move {
        let (mut answer, record, mut tenure) = state?;
        match tenure.during(timeout(within, answer.piece())).await {
            Ok(Ok(Ok(Some(piece)))) => Some((Ok(piece), Some((answer, record, tenure)))),
            Ok(Ok(Ok(None))) => {
                record.end(None, None);
                None
            }
            Ok(Ok(Err(failure))) => {
                record.end(None, Some(&ErrorKind::UpstreamError.into()));
                Some((Err(failure.to_string()), None))
            }
            Ok(Err(_)) => {
                record.end(None, Some(&ErrorKind::DeadlineExceeded.into()));
                Some((Err("nothing came in time".to_owned()), None))
            }
            Err(over) => {
                record.end(None, Some(&over.kind().into()));
                Some((Err("the caller may have no more of it".to_owned()), None))
            }
        }
    });
    Body::from_stream(pieces)
}

/// What the monitoring of the deployment knows: the read paths of Prometheus, and no other.
pub(super) async fn metrics(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let head = Head::of(&request);
    // As it was sent: an escape is another path.
    let path = head.uri.path().strip_prefix("/api/metrics/").filter(|path| is_readable(path));
    let Some(path) = path else { return no_such_path().await.into_response() };
    let rules = handles.rules.load_full();
    let Some(entry) = rules.registry.metrics() else {
        return refuse(&internal());
    };
    let client = peer.client(Via::Http);
    let known = match head.known(&handles, &client).await {
        Ok(known) => known,
        Err(error) => return refuse(&error),
    };
    let call = entry.resolve_deployment(traceparent(&head.headers));
    let passage = match head.open(&rules, known, client, call).await {
        Ok(passage) => passage,
        Err(error) => return refuse(&error),
    };
    let place = Place { below: path, query: head.uri.query().unwrap_or_default() };
    let within = passage.permit.call().budget;
    let mut tenure =
        Tenure::new(Arc::clone(&handles), Arc::clone(&passage.permit), Held::ByRequest, &head.gate);
    let asked = match tenure.during(timeout(within, ask_metrics(&passage, place))).await {
        Ok(asked) => asked.unwrap_or_else(|_| Err(ErrorKind::DeadlineExceeded.into())),
        Err(over) => {
            passage.record.end(None, Some(&over.kind().into()));
            return refuse(&over.kind().into());
        }
    };
    passage.record.end(None, asked.as_ref().err());
    match asked {
        Ok(answer) => answer.into_response(),
        // As text, which is what existing clients show.
        Err(_) => (StatusCode::BAD_GATEWAY, "502: Bad Gateway").into_response(),
    }
}

/// Whether a path of Prometheus only reads, about nothing but what was measured.
fn is_readable(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b))
    };
    match path {
        "query" | "query_range" | "series" | "labels" => true,
        _ => path
            .strip_prefix("label/")
            .and_then(|rest| rest.strip_suffix("/values"))
            .is_some_and(is_name),
    }
}

async fn ask_metrics(
    passage: &Passage,
    place: Place<'_>,
) -> Result<(StatusCode, String), WireError> {
    let Passage { permit, backend, .. } = passage;
    let body = Either::Left(Full::default());
    let mut answer = backend.exchange(permit, Method::GET, place, body).await?;
    let status = answer.head.status;
    let is_answer = status.is_success() || status.is_client_error() || status.is_server_error();
    if !is_answer || answer.head.headers.contains_key(CONTENT_ENCODING) {
        return Err(backend.refused(permit, &answer.head));
    }
    let mut text = Vec::new();
    while let Some(piece) = answer.piece().await.map_err(|_| ErrorKind::UpstreamError)? {
        if piece.len() > backend.max_answer() - text.len() {
            return Err(ErrorKind::TooLarge.into());
        }
        text.extend_from_slice(&piece);
    }
    Ok((status, String::from_utf8(text).map_err(|_| ErrorKind::UpstreamError)?))
}

#[cfg(test)]
mod tests {
    use super::is_readable;

    #[test]
    fn only_what_was_measured_can_be_read() {
        for path in ["query", "query_range", "series", "labels", "label/__name__/values"] {
            assert!(is_readable(path), "{path}");
        }
        for path in [
            "",
            "query/",
            "Query",
            "targets",
            "admin/tsdb/delete_series",
            "status/config",
            "label//values",
            "label/../values",
            "label/a/b/values",
            "label/%2e/values",
            "../query",
            "query/../targets",
            "labels/",
        ] {
            assert!(!is_readable(path), "{path}");
        }
    }
}
