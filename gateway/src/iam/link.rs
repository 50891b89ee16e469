//! The link: questions to IAM over HTTP/1.1 keep-alive, under the service secret; under TLS, where
//! IAM proves its name under certificates that the operator chose.
//!
//! In: a question. Out: the outcome, or [`Unreachable`] with a reason for the log.
//! Never: a second try. A question that changes something must not be asked twice; and one that
//! was sent is heard to its end in a task of its own, whoever has stopped waiting for it: a client
//! that cancels its calls must not cost the gateway its connections.

mod nodes;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tollgate_proto::iam::{Answer, Call, Client, Mark, News, Poll, Question};
use tollgate_proto::ids::OperationId;
use tollgate_proto::jwt::Jwks;
use tollgate_runtime::address::InvalidAddress;
use tollgate_runtime::config::{InvalidTrust, LinkSettings};
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use super::{Iam, Unreachable};
use crate::upstream::{self, Bounds, Failure};
use nodes::{Nodes, Place};

/// The longest answer that is read: a list of every user of a large deployment.
const MAX_ANSWER: usize = 64 << 20;

/// Questions under way at once: others wait within their deadline.
const MAX_ASKING: usize = 32;
/// The same of questions that IAM answers when other gateways have done something: they must not
/// keep others from being asked.
const MAX_WAITING: usize = 4;

/// How long a poll may take: IAM holds it for a quarter of a second.
const POLL_DEADLINE: Duration = Duration::from_secs(2);

/// How long the public keys may take.
const KEYS_DEADLINE: Duration = Duration::from_secs(2);

const BOUNDS: Bounds = Bounds {
    connect_timeout: Duration::from_secs(1),
    idle_timeout: Duration::from_mins(1),
    max_idle: MAX_ASKING,
    max_inflight: MAX_ASKING + MAX_WAITING,
};

pub(crate) struct Link {
    line: Arc<Line>,
    tasks: TaskTracker,
}

/// What each question needs.
struct Line {
    asking: Semaphore,
    waiting: Semaphore,
    nodes: Nodes,
    lease: Duration,
    /// Said with every question.
    headers: HeaderMap,
    /// The newest mark that an answer carried.
    seen: Mutex<Option<Mark>>,
}

/// `gateway.iam_url` or what stands in `[link]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidLink {
    #[error("gateway.iam_url: {0:?} is not a URL like \"http://127.0.0.1:8090\"")]
    Url(String),
    #[error("gateway.iam_url: a URL {}", InvalidAddress::Credential)]
    Credential,
    #[error(
        "gateway.iam_url: {0:?} needs link.ca_file: the certificates, PEM, under which IAM proves \
         its name"
    )]
    NobodyTrusted(String),
    #[error(transparent)]
    Trusted(#[from] InvalidTrust),
    #[error("link.secret_file: the secret holds characters that HTTP does not carry")]
    Secret,
}

impl Link {
    /// A link whose questions run as tasks of `lifecycle`.
    pub(crate) fn new(
        iam_url: &str,
        settings: &LinkSettings,
        secret: &SecretString,
        lifecycle: &Lifecycle,
    ) -> Result<Self, InvalidLink> {
        let places = read_places(iam_url, settings)?;
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()))
                .map_err(|_| InvalidLink::Secret)?;
        authorization.set_sensitive(true);
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (AUTHORIZATION, authorization),
        ];
        let line = Arc::new(Line {
            asking: Semaphore::new(MAX_ASKING),
            waiting: Semaphore::new(MAX_WAITING),
            nodes: Nodes::new(&places, lifecycle),
            lease: settings.lease.0,
            headers: headers.into_iter().collect(),
            seen: Mutex::new(None),
        });
        Ok(Self { line, tasks: lifecycle.tasks.clone() })
    }

    /// Whether questions can go there.
    pub(crate) fn check(iam_url: &str, settings: &LinkSettings) -> Result<(), InvalidLink> {
        read_places(iam_url, settings).map(drop)
    }
}

impl InvalidLink {
    fn of(url: &str, error: InvalidAddress) -> Self {
        // Never shown: there may be a password in it.
        if url.contains('@') {
            return Self::Credential;
        }
        match error {
            InvalidAddress::NobodyTrusted => Self::NobodyTrusted(url.to_owned()),
            InvalidAddress::NotAUrl | InvalidAddress::NotHttp | InvalidAddress::Credential => {
                Self::Url(url.to_owned())
            }
        }
    }
}

fn read_places(iam_url: &str, settings: &LinkSettings) -> Result<Vec<Place>, InvalidLink> {
    nodes::parse(iam_url, settings.trusted()?.as_ref())
}

impl Line {
    async fn ask(&self, question: Question, client: &Client) -> Result<Answer, Unreachable> {
        let turns = if question.waits_for_gateways() { &self.waiting } else { &self.asking };
        let Ok(_turn) = turns.acquire().await else {
            return Err(Unreachable("the link is closed".to_owned()));
        };
        let call = Call {
            id: OperationId(Uuid::now_v7()),
            at_least: *self.seen.lock().unwrap_or_else(PoisonError::into_inner),
            client: client.clone(),
            question,
        };
        let answer: Answer = read(self.nodes.call(&self.headers, body_of(&call)?).await?).await?;
        self.remember(answer.mark);
        Ok(answer)
    }

    async fn poll(&self, poll: Poll) -> Result<News, Unreachable> {
        let at = self.nodes.first();
        let polled = within(POLL_DEADLINE, self.poll_at(at, &poll)).await;
        // The next poll goes to another node.
        match &polled {
            Err(Unreachable(reason)) => self.nodes.pass_over(at, reason),
            Ok(news) if Duration::from_millis(news.age_ms) > self.lease / 2 => {
                self.nodes.pass_over(at, "it did not read the journal for long");
            }
            Ok(_) => {}
        }
        polled
    }

    async fn poll_at(&self, at: usize, poll: &Poll) -> Result<News, Unreachable> {
        let news: News = read(self.nodes.poll(at, &self.headers, body_of(poll)?).await?).await?;
        let is_behind =
            |after: Mark| after.journal == news.head.journal && after.seq > news.head.seq;
        if poll.after.is_some_and(is_behind) {
            // What was heard already must not be forgotten.
            return Err(Unreachable("it is behind what another node told".to_owned()));
        }
        // Whatever node is asked next knows at least this.
        self.remember(news.head);
        Ok(news)
    }

    async fn read_keys(&self) -> Result<Jwks, Unreachable> {
        read(self.nodes.keys(&self.headers).await?).await
    }

    fn remember(&self, mark: Mark) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = seen.is_none_or(|s| s.journal != mark.journal || s.seq < mark.seq);
        if newer {
            *seen = Some(mark);
        }
    }
}

async fn read<T: DeserializeOwned>(mut response: upstream::Answer) -> Result<T, Unreachable> {
    if response.head.status != StatusCode::OK {
        return Err(Unreachable(format!("it answered {}", response.head.status)));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.piece().await? {
        if piece.len() > MAX_ANSWER - body.len() {
            return Err(Unreachable(format!("its answer is beyond {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body)
        .map_err(|e| Unreachable(format!("its answer cannot be read: {e}")))
}

impl Iam for Link {
    fn ask<'a>(
        &'a self,
        question: Question,
        client: &'a Client,
    ) -> BoxFuture<'a, Result<Answer, Unreachable>> {
        let deadline = question.deadline(self.line.lease);
        let (line, client) = (Arc::clone(&self.line), client.clone());
        let asked =
            self.tasks.spawn(async move { within(deadline, line.ask(question, &client)).await });
        asked.map(|ended| ended.unwrap_or_else(|e| Err(Unreachable(e.to_string())))).boxed()
    }

    fn keys(&self) -> BoxFuture<'_, Result<Jwks, Unreachable>> {
        within(KEYS_DEADLINE, self.line.read_keys()).boxed()
    }

    fn poll(&self, poll: Poll) -> BoxFuture<'_, Result<News, Unreachable>> {
        self.line.poll(poll).boxed()
    }
}

fn body_of(said: &impl Serialize) -> Result<Bytes, Unreachable> {
    serde_json::to_vec(said).map(Bytes::from).map_err(|e| Unreachable(e.to_string()))
}

async fn within<T>(
    deadline: Duration,
    exchange: impl Future<Output = Result<T, Unreachable>>,
) -> Result<T, Unreachable> {
    tokio::time::timeout(deadline, exchange)
        .await
        .unwrap_or_else(|_| Err(Unreachable(format!("no answer within {deadline:?}"))))
}

impl From<Failure> for Unreachable {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}
