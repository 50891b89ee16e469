//! `GET /api/v1/flow/{flow}/import/{kind}` and `…/export/{kind}`: sockets that carry data into and
//! out of a flow, joined with one to the backend.
//!
//! The credential comes with the upgrade, as existing clients send it, and everything is decided
//! before it: a refusal is a plain HTTP answer, and a socket that opens works.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use axum::response::Response;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::{Client, Via};

use super::answer::refuse;
use super::calls::{known_of, traceparent};
use super::observe::source_of;
use super::path::OfFlow;
use super::query::Query;
use super::upgrade::{Handshake, credential, switch, upgraded};
use crate::authorise::{Caller, Permit};
use crate::dispatch::Passage;
use crate::handles::{Handles, Rules};
use crate::peer::Peer;
use crate::record::{Record, Source};
use crate::registry::Direction;
use crate::registry::passage::Asked;
use crate::relay::{self, ToBackend};
use crate::socket::Socket;
use crate::upstream::Opened;

type Shared = State<Arc<Handles>>;

/// Data into a flow.
pub(super) async fn import(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let opened = open(&handles, peer, Direction::Import, request).await;
    opened.unwrap_or_else(|refusal| refusal)
}

/// Data out of a flow.
pub(super) async fn export(
    State(handles): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let opened = open(&handles, peer, Direction::Export, request).await;
    opened.unwrap_or_else(|refusal| refusal)
}

async fn open(
    handles: &Arc<Handles>,
    peer: Peer,
    direction: Direction,
    mut request: Request,
) -> Result<Response, Response> {
    let Handshake { accept, upgrade } = Handshake::take(&mut request)?;
    let source = source_of(&request);
    let (head, _) = request.into_parts();
    let origin = head.headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
    let rules = handles.rules.load_full();
    if !rules.origins.allow(origin) {
        tracing::info!(client.address = %peer.address, "a foreign Origin is refused");
        return Err(refuse(&ErrorKind::AccessDenied.into()));
    }
    let client = peer.client(Via::Socket);
    let asked = Handshaken { source, direction, head: &head };
    let (call, backend) = asked.join(handles, &rules, client).await?;
    let (handles, tasks) = (Arc::clone(handles), handles.life.tasks.clone());
    tasks.spawn(async move {
        if let Some((client, seat)) = upgraded(upgrade).await {
            seat.trust();
            relay::serve(client, backend, call, rules.limits.clone(), handles).await;
        }
    });
    Ok(switch(accept))
}

struct Handshaken<'a> {
    source: Source,
    direction: Direction,
    head: &'a Parts,
}

impl Handshaken<'_> {
    /// Everything that can be refused, in the order of every path: what is asked for, who asks,
    /// where, whether it may be, and whether there is something to do it.
    async fn join(
        &self,
        handles: &Handles,
        rules: &Rules,
        client: Client,
    ) -> Result<((Arc<Permit>, Record), ToBackend), Response> {
        let told = |error: WireError| refuse(&error);
        let Parts { uri, headers, .. } = self.head;
        let unknown = || WireError::with_message(ErrorKind::NotFound, "unknown kind");
        let path = OfFlow::of(uri.path()).ok_or_else(unknown).map_err(told)?;
        let entry = rules.registry.flow_socket(self.direction, path.kind);
        let entry = entry.ok_or_else(unknown).map_err(told)?;
        let query = Query::of(uri);
        let token = credential(headers, query);
        let known = known_of(handles, token.as_ref(), &client).await.map_err(told)?;
        let workspace = query.get("workspace").map_err(told)?;
        let flow = path.flow().map_err(told)?;
        let asked = Asked {
            flow: Some(&flow),
            workspace: workspace.as_deref(),
            traceparent: traceparent(headers),
        };
        let call = entry.resolve_passage(asked, Some(&known.identity)).map_err(told)?;
        let record = Record::new(self.source, &call, Some(&known.identity));
        let (caller, client) = (Arc::new(Caller::new(known)), Arc::new(client));
        let opened = rules.dispatcher.open(record, Some(caller), client, Box::new(call)).await;
        let Passage { permit, backend, record } = opened.map_err(told)?;
        match backend.connect(&permit).await {
            Ok(Opened { stream, early, hold }) => {
                let socket = Socket::to_backend(stream, early.to_vec());
                Ok(((permit, record), ToBackend { socket, hold }))
            }
            Err(error) => {
                record.end(None, Some(&error));
                Err(told(error))
            }
        }
    }
}
