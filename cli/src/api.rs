//! The gateway's HTTP side: one JSON object there, one back.
//!
//! In: a path and a body. Out: the reply, or the refusal in the words that scripts know:
//! `HTTP N: detail`, or `type: message` where a 200 carries an error. Every request has a deadline.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use tollgate_client::tls;
use tollgate_proto::iam::Reply;

use crate::access::Access;

/// Longer than any operation of IAM may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// A reply is a list of records at most.
const MAX_REPLY: usize = 64 << 20;

/// One gateway, as one caller.
pub(crate) struct Api {
    url: String,
    token: Option<SecretString>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A reply that is no refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    /// As it came.
    pub text: String,
    /// As it reads.
    pub reply: Reply,
}

/// A reply that is a refusal, for commands to which it says something.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    /// The error's `type`, where it has one.
    pub kind: String,
    words: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Error for Refusal {}

/// Any reply.
pub(crate) struct Raw {
    pub status: StatusCode,
    pub text: String,
}

impl Api {
    /// # Errors
    /// The URL is none that can be reached, or under TLS there is nobody to trust.
    pub(crate) fn new(access: Access) -> anyhow::Result<Self> {
        let Access { url, token } = access;
        let trusted = if url.starts_with("https://") {
            tls::trust(None)?
        } else if url.starts_with("http://") {
            tls::trust_nobody()?
        } else {
            bail!("{url:?} is no url of a gateway: it must begin with https:// or http://");
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config((*trusted).clone());
        let connector = connector.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { url, token, client })
    }

    /// An operation of IAM.
    pub(crate) async fn operate(&self, operation: &impl Serialize) -> anyhow::Result<Answer> {
        self.call("/api/v1/iam", operation).await
    }

    /// A request whose reply is judged.
    pub(crate) async fn call(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Answer> {
        let Raw { status, text } = self.post(path, body).await?;
        if status != StatusCode::OK {
            let hint = match (status, &self.token) {
                (StatusCode::UNAUTHORIZED, None) if !path.contains("/auth/") => NO_TOKEN,
                _ => "",
            };
            let words = format!("HTTP {}: {}{hint}", status.as_u16(), detail(&text));
            return Err(Refusal { status, kind: String::new(), words }.into());
        }
        answer(text)
    }

    /// A request whose reply is the caller's to judge.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Raw> {
        let request = self.request(path, serde_json::to_vec(body)?)?;
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| anyhow!("cannot reach {}: {}", self.url, innermost(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_REPLY).collect().await;
            let body = body.map_err(|error| anyhow!("the reply broke off: {error}"))?.to_bytes();
            Ok(Raw { status, text: String::from_utf8_lossy(&body).into_owned() })
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|_| anyhow!("{} gave no answer within {TIMEOUT:?}", self.url))?
    }

    fn request(&self, path: &str, body: Vec<u8>) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::post(format!("{}{path}", self.url))
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("tg/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))
            .with_context(|| format!("{:?} is no url of a gateway", self.url))?;
        if let Some(token) = &self.token {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .context("the token has characters that no token has")?;
            bearer.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        Ok(request)
    }
}

/// A second line for whoever has just begun.
pub(crate) const NO_TOKEN: &str =
    "\nhint: no token was given; use tg login --save, TOLLGATE_TOKEN or --token";

fn answer(text: String) -> anyhow::Result<Answer> {
    let value: Value = serde_json::from_str(&text).context("the reply is not JSON")?;
    if !value["error"].is_null() {
        let kind = value["error"]["type"].as_str().unwrap_or_default().to_owned();
        return Err(Refusal { status: StatusCode::OK, kind, words: detail(&text) }.into());
    }
    let reply = serde_json::from_value(value).context("the reply is not as expected")?;
    Ok(Answer { text, reply })
}

/// What a refusal says: its error as text, or as `type: message`, or else all of it.
fn detail(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    match &value["error"] {
        Value::String(error) => error.clone(),
        Value::Object(error) => {
            let part = |key| error.get(key).and_then(Value::as_str).unwrap_or_default();
            format!("{}: {}", part("type"), part("message"))
        }
        _ => text.trim().to_owned(),
    }
}

/// The library's own words ("client error (Connect)") say less than what they stand for.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        assert_eq!(detail(r#"{"error":"auth failure"}"#), "auth failure");
        let object = r#"{"error":{"type":"duplicate","message":"username already exists"}}"#;
        assert_eq!(detail(object), "duplicate: username already exists");
        assert_eq!(detail("404: Not Found\n"), "404: Not Found");
        assert_eq!(detail("{}"), "{}");
    }

    #[test]
    fn a_200_with_an_error_is_no_success() {
        let error = |text: &str| answer(text.to_owned()).unwrap_err().to_string();
        assert_eq!(error(r#"{"error":{"type":"not-found","message":"m"}}"#), "not-found: m");
        assert_eq!(error(r#"{"error":"m"}"#), "m");
        assert_eq!(error("<html>"), "the reply is not JSON");
        assert!(answer(r#"{"error":null,"jwt":"x"}"#.to_owned()).unwrap().reply.jwt.is_some());
    }

    #[test]
    fn urls_that_cannot_be_reached_say_why() {
        let error = |url: &str| {
            let access = Access { url: url.to_owned(), token: None };
            Api::new(access).err().unwrap().to_string()
        };
        assert!(error("gw:8088").contains("must begin with https:// or http://"));
    }
}
