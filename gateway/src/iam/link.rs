//! The link: questions to IAM over HTTP/1.1 keep-alive, under the service secret.
//!
//! In: a question and a deadline. Out: the outcome, or [`Unreachable`] with a reason for the log.
//! Never: a second try. A question that changes something must not be asked twice; and one that
//! was sent is heard to its end in a task of its own, whoever has stopped waiting for it: a client
//! that cancels its calls must not cost the gateway its connections.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Request, StatusCode, Uri};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tollgate_proto::iam::{Answer, CALL_PATH, Call, Client, Mark, Outcome, Question};
use tollgate_proto::ids::OperationId;
use uuid::Uuid;

use super::{Iam, Unreachable};

/// The longest answer that is read: a list of every user of a large deployment.
const MAX_ANSWER: usize = 64 << 20;

/// Questions under way at once, and so connections: others wait within their deadline.
const MAX_ASKING: usize = 32;

pub(crate) struct Link {
    line: Arc<Line>,
    tasks: TaskTracker,
}

/// What each question needs.
struct Line {
    asking: Semaphore,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    url: Uri,
    authorization: HeaderValue,
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
    /// A link whose questions run on `tasks`.
    pub(crate) fn new(
        iam_url: &str,
        secret: &SecretString,
        tasks: TaskTracker,
    ) -> Result<Self, InvalidLink> {
        let url = Self::parse_url(iam_url)?;
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()))
                .map_err(|_| InvalidLink::Secret)?;
        authorization.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(1)));
        let http = HttpClient::builder(TokioExecutor::new()).build(connector);
        let asking = Semaphore::new(MAX_ASKING);
        let line = Arc::new(Line { asking, http, url, authorization, seen: Mutex::new(None) });
        Ok(Self { line, tasks })
    }

    /// Where questions go.
    pub(crate) fn parse_url(iam_url: &str) -> Result<Uri, InvalidLink> {
        let parsed = format!("{}{CALL_PATH}", iam_url.trim_end_matches('/')).parse::<Uri>().ok();
        parsed
            .filter(|url| url.scheme_str() == Some("http") && url.host().is_some())
            .ok_or_else(|| InvalidLink::Url(iam_url.to_owned()))
    }
}

impl Line {
    async fn send(&self, question: Question, client: &Client) -> Result<Outcome, Unreachable> {
        let Ok(_turn) = self.asking.acquire().await else {
            return Err(Unreachable("the link is closed".to_owned()));
        };
        let call = Call {
            id: OperationId(Uuid::now_v7()),
            at_least: *self.seen.lock().unwrap_or_else(PoisonError::into_inner),
            client: client.clone(),
            question,
        };
        let body = serde_json::to_vec(&call).map_err(|e| Unreachable(e.to_string()))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, self.authorization.clone())
            .body(Full::from(body))
            .map_err(|e| Unreachable(e.to_string()))?;
        let response = self.http.request(request).await.map_err(|e| Unreachable(root_cause(&e)))?;
        if response.status() != StatusCode::OK {
            return Err(Unreachable(format!("it answered {}", response.status())));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|e| Unreachable(e.to_string()))?.to_bytes();
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|e| Unreachable(format!("its answer cannot be read: {e}")))?;
        self.remember(answer.mark);
        Ok(answer.outcome)
    }

    fn remember(&self, mark: Mark) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = seen.is_none_or(|s| s.journal != mark.journal || s.seq < mark.seq);
        if newer {
            *seen = Some(mark);
        }
    }
}

impl Iam for Link {
    fn ask<'a>(
        &'a self,
        question: Question,
        client: &'a Client,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Outcome, Unreachable>> {
        let (line, client) = (Arc::clone(&self.line), client.clone());
        let asked = self.tasks.spawn(async move {
            tokio::time::timeout(deadline, line.send(question, &client))
                .await
                .unwrap_or_else(|_| Err(Unreachable(format!("no answer within {deadline:?}"))))
        });
        asked.map(|ended| ended.unwrap_or_else(|e| Err(Unreachable(e.to_string())))).boxed()
    }
}

/// The innermost error: what the operating system said.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
