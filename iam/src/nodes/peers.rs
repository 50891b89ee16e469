//! The other nodes, asked what their gateways hold: a gateway polls one node, and no other knows it.
//!
//! In: a question, and the rows of the nodes that live. Out: what their gateways found, and how many
//! nodes said nothing, in time.
//! Never: the service secret to an address that was not sealed under our key, for that node, not long
//! ago, because whoever may write to the cluster could put its own there, or put back that of a node
//! that is gone; nor a question of another node passed on.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, InvalidHeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tollgate_proto::iam::About;
use tollgate_runtime::address::{Address, InvalidAddress, Place};
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::tls::{Connector, HandshakeError};
use uuid::Uuid;

use crate::feed::{SURVEY_PATIENCE, Survey};
use crate::journal::NodeRow;
use crate::record::Sealed;
use crate::seal::{Seal, SealError};

/// The path on IAM's listener at which a node asks another one.
pub const SURVEY_PATH: &str = "/v1/survey";

/// How long a node may take: as long as its gateways, and the way there and back.
const DEADLINE: Duration = SURVEY_PATIENCE.saturating_add(Duration::from_millis(250));
/// How far a row that is believed may be from this node's clock, by the clock of its writer.
pub(super) const APART: Duration = Duration::from_mins(10);
/// Nodes that are asked at once; the others count as silent.
const MOST: usize = 64;
/// The longest answer: 64 gateways with as many sockets as have room in a poll.
const MAX_ANSWER: usize = 16 << 20;

/// What a node asks another one.
#[derive(Debug, Serialize, Deserialize)]
pub struct PeerAsk {
    /// The one that is meant: behind its URL there may be another one by now.
    pub node: Uuid,
    /// Which sockets are meant.
    pub about: About,
}

/// What it takes to ask other nodes, and to be asked.
#[derive(Debug)]
pub struct Peers {
    /// This node.
    pub(super) node: Uuid,
    /// Where the others reach it. None: nobody is told.
    url: Option<String>,
    /// Does the handshake with the others; none: they are reached in clear.
    trusted: Option<Connector>,
    seal: Seal,
    secret: SecretString,
    clock: SharedClock,
}

/// Why a node was not heard.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error("it does not say where it is: iam.peer_url is not set there")]
    NoUrl,
    #[error("its row is more than {APART:?} from the clock of this node")]
    Apart,
    #[error("what it says of where it is cannot be trusted")]
    Foreign(#[from] SealError),
    #[error("what it says of where it is cannot be used")]
    Address(#[from] InvalidAddress),
    #[error("the service secret holds characters that HTTP does not carry")]
    Secret(#[from] InvalidHeaderValue),
    #[error("it could not be reached")]
    Unreachable(#[from] HandshakeError),
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    #[error("it answered {0}")]
    Refused(StatusCode),
    #[error("its answer was not read to the end")]
    Cut(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("its answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
    #[error("no answer within {DEADLINE:?}")]
    Late,
}

impl Peers {
    /// A new node, which others reach at `url`; nowhere, if that is empty.
    pub fn new(
        url: &str,
        trusted: Option<Connector>,
        seal: Seal,
        secret: SecretString,
        clock: SharedClock,
    ) -> Self {
        let url = (!url.is_empty()).then(|| url.to_owned());
        Self { node: Uuid::now_v7(), url, trusted, seal, secret, clock }
    }

    /// Microseconds since 1970.
    pub(super) fn now_us(&self) -> u64 {
        self.clock.now_ms() * 1_000
    }

    /// Where the others reach this node, for its row of that beat.
    pub(super) fn sealed_url(&self, beat: u64) -> Result<Option<Sealed>, SealError> {
        let seal = |url: &String| self.seal.seal(url.as_bytes(), &context(self.node, beat));
        self.url.as_ref().map(seal).transpose()
    }

    /// Asks these nodes.
    pub(super) async fn survey(&self, nodes: &[NodeRow], about: &About) -> Survey {
        let asked = nodes.iter().take(MOST).map(|node| self.ask(node, about));
        let heard: Vec<Survey> = join_all(asked).await.into_iter().flatten().collect();
        let silent_nodes = nodes.len() - heard.len();
        let none = Survey { silent_nodes, ..Survey::default() };
        heard.into_iter().fold(none, Survey::and)
    }

    async fn ask(&self, node: &NodeRow, about: &About) -> Option<Survey> {
        let asked = timeout(DEADLINE, self.try_ask(node, about)).await;
        match asked.unwrap_or(Err(Unheard::Late)) {
            Ok(survey) => Some(survey),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(node = %node.node, error, "a node was not heard");
                None
            }
        }
    }

    fn url_of(&self, row: &NodeRow) -> Result<String, Unheard> {
        let url = row.peer_url.as_ref().ok_or(Unheard::NoUrl)?;
        // Rows recorded long ago could be put back one after the other.
        if Duration::from_micros(self.now_us().abs_diff(row.beat)) > APART {
            return Err(Unheard::Apart);
        }
        let url = self.seal.open(url, &context(row.node, row.beat))?;
        Ok(String::from_utf8_lossy(&url).into_owned())
    }

    async fn try_ask(&self, row: &NodeRow, about: &About) -> Result<Survey, Unheard> {
        let url = format!("{}{SURVEY_PATH}", self.url_of(row)?.trim_end_matches('/'));
        let address = Address::parse(&url, self.trusted.as_ref())?;
        let ask = PeerAsk { node: row.node, about: about.clone() };
        let mut request = Request::new(Full::new(Bytes::from(serde_json::to_vec(&ask)?)));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = address.target(Place::default()).unwrap_or_default();
        let mut secret = HeaderValue::from_str(&format!("Bearer {}", self.secret.expose_secret()))?;
        secret.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, secret);
        headers.insert(HOST, address.authority().clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(serde_json::from_slice(&exchange(&address, request).await?)?)
    }
}

/// A URL is sealed for one row that a node writes, and opens in no other, nor in a later one of it.
fn context(node: Uuid, beat: u64) -> String {
    format!("peer url of {node} at {beat}")
}

/// Sends one request over a connection of its own: people ask, and now and then.
async fn exchange(address: &Address, request: Request<Full<Bytes>>) -> Result<Bytes, Unheard> {
    let stream = address.connect().await?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        match head.status {
            StatusCode::OK => {}
            other => return Err(Unheard::Refused(other)),
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        Ok(body.map_err(Unheard::Cut)?.to_bytes())
    };
    let mut answer = pin!(answer);
    // Nothing is lost with the driver: what it has read is with the answer.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = driver => answer.await,
    }
}

#[cfg(test)]
mod tests;
