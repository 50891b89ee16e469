//! The link: questions to IAM over HTTP/1.1 keep-alive, under the service secret.
//!
//! In: a question. Out: the outcome, or [`Unreachable`] with a reason for the log.
//! Never: a second try. A question that changes something must not be asked twice; and one that
//! was sent is heard to its end in a task of its own, whoever has stopped waiting for it: a client
//! that cancels its calls must not cost the gateway its connections.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tollgate_proto::iam::{
    Answer, CALL_PATH, Call, Client, FEED_PATH, JWKS_PATH, Mark, News, Poll, Question,
};
use tollgate_proto::ids::OperationId;
use tollgate_proto::jwt::Jwks;
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use super::{Iam, Unreachable};
use crate::upstream::{self, Address, Bounds, Failure, Place, RequestBody, Upstream};

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
    lease: Duration,
    tasks: TaskTracker,
}

/// What each question needs.
struct Line {
    asking: Semaphore,
    waiting: Semaphore,
    iam: Upstream,
    feed: Upstream,
    keys: Upstream,
    /// Said with every question.
    headers: HeaderMap,
    /// The newest mark that an answer carried.
    seen: Mutex<Option<Mark>>,
}

/// `gateway.iam_url` or the service secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidLink {
    #[error("gateway.iam_url: {0:?} is not a URL like \"http://127.0.0.1:8090\"")]
    Url(String),
    #[error("link.secret_file: the secret holds characters that HTTP does not carry")]
    Secret,
}

impl Link {
    /// A link whose questions run as tasks of `lifecycle`, where gateways trust what they heard for
    /// the `lease`.
    pub(crate) fn new(
        iam_url: &str,
        secret: &SecretString,
        lease: Duration,
        lifecycle: &Lifecycle,
    ) -> Result<Self, InvalidLink> {
        let (address, feed) = (Self::parse_url(iam_url)?, address_of(iam_url, FEED_PATH)?);
        let keys = address_of(iam_url, JWKS_PATH)?;
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
            feed: Upstream::new(&[feed], &BOUNDS, Arc::default(), lifecycle),
            keys: Upstream::new(&[keys], &BOUNDS, Arc::default(), lifecycle),
            iam: Upstream::new(&[address], &BOUNDS, Arc::default(), lifecycle),
            headers: headers.into_iter().collect(),
            seen: Mutex::new(None),
        });
        Ok(Self { line, lease, tasks: lifecycle.tasks.clone() })
    }

    /// Where questions go.
    pub(crate) fn parse_url(iam_url: &str) -> Result<Address, InvalidLink> {
        address_of(iam_url, CALL_PATH)
    }
}

fn address_of(iam_url: &str, path: &str) -> Result<Address, InvalidLink> {
    let url = format!("{}{path}", iam_url.trim_end_matches('/'));
    Address::parse(&url, None).map_err(|_| InvalidLink::Url(iam_url.to_owned()))
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
        let answer: Answer = self.exchange(&self.iam, &call).await?;
        self.remember(answer.mark);
        Ok(answer)
    }

    async fn poll(&self, poll: Poll) -> Result<News, Unreachable> {
        let news: News = self.exchange(&self.feed, &poll).await?;
        // Whatever node is asked next knows at least this.
        self.remember(news.head);
        Ok(news)
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        upstream: &Upstream,
        said: &impl Serialize,
    ) -> Result<T, Unreachable> {
        let body = serde_json::to_vec(said).map_err(|e| Unreachable(e.to_string()))?;
        read(upstream.post(self.headers.clone(), Bytes::from(body)).await?).await
    }

    async fn read_keys(&self) -> Result<Jwks, Unreachable> {
        let mut request = Request::new(RequestBody::Left(Full::default()));
        *request.headers_mut() = self.headers.clone();
        read(self.keys.send(request, Place::default()).await?).await
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
        let deadline = question.deadline(self.lease);
        let (line, client) = (Arc::clone(&self.line), client.clone());
        let asked =
            self.tasks.spawn(async move { within(deadline, line.ask(question, &client)).await });
        asked.map(|ended| ended.unwrap_or_else(|e| Err(Unreachable(e.to_string())))).boxed()
    }

    fn keys(&self) -> BoxFuture<'_, Result<Jwks, Unreachable>> {
        within(KEYS_DEADLINE, self.line.read_keys()).boxed()
    }

    fn poll(&self, poll: Poll) -> BoxFuture<'_, Result<News, Unreachable>> {
        within(POLL_DEADLINE, self.line.poll(poll)).boxed()
    }
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
