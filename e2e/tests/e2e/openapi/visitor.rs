//! A client that holds the server to the document: it checks whatever it sends and receives, and
//! remembers what it has seen.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tollgate_e2e::raw::{self, Answer};

use super::document::{Document, members};

pub(super) const IAM: &str = "POST /api/v1/iam";

/// What was seen of the document.
pub(super) struct Visitor {
    pub(super) document: Document,
    /// Routes with the statuses that came.
    pub(super) seen: BTreeSet<(String, u16)>,
    /// Operations of IAM that were done, and that were refused.
    pub(super) done: BTreeSet<String>,
    pub(super) refused: BTreeSet<String>,
}

/// Where to, and as whom.
#[derive(Clone, Copy)]
pub(super) struct As<'a>(pub(super) SocketAddr, pub(super) Option<&'a str>);

impl Visitor {
    pub(super) fn new() -> anyhow::Result<Self> {
        let (seen, done, refused) = Default::default();
        Ok(Self { document: Document::read()?, seen, done, refused })
    }

    /// Sends any request on a route and checks the answer.
    pub(super) async fn send(
        &mut self,
        address: SocketAddr,
        (route, path): (&str, &str),
        headers: &[(&str, String)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let method = route.split(' ').next().unwrap_or_default();
        let answer = raw::http(address, method, path, headers, body).await?;
        self.document.check_answer(route, &answer)?;
        self.seen.insert((route.to_owned(), answer.status));
        Ok(answer)
    }

    /// Posts JSON. What the server takes must be what the document says.
    pub(super) async fn post(
        &mut self,
        caller: As<'_>,
        to: (&str, &str),
        body: &Value,
    ) -> anyhow::Result<(u16, Value)> {
        let bearer = caller.1.map(|token| ("Authorization", format!("Bearer {token}")));
        let text = body.to_string();
        let answer = self.send(caller.0, to, bearer.as_slice(), text.as_bytes()).await?;
        let reply = serde_json::from_str(&answer.body).unwrap_or_default();
        if is_done(answer.status, &reply) {
            self.document.check_request(to.0, body)?;
        }
        Ok((answer.status, reply))
    }

    /// Posts to a path that has no parameters, and expects a status.
    pub(super) async fn post_for(
        &mut self,
        caller: As<'_>,
        path: &str,
        body: Value,
        expect: u16,
    ) -> anyhow::Result<Value> {
        let (status, reply) = self.post(caller, (&format!("POST {path}"), path), &body).await?;
        ensure!(status == expect, "{path} {body}: {status} {reply}");
        Ok(reply)
    }

    /// An operation of IAM that must be done. Before, the server must refuse it without any of
    /// the fields that are required, and with any field of another type.
    pub(super) async fn done(&mut self, caller: As<'_>, body: Value) -> anyhow::Result<Value> {
        let name = body["operation"].as_str().context("no operation")?.to_owned();
        for broken in self.broken(&name, &body) {
            let (status, reply) = self.iam(caller, &broken).await?;
            ensure!(!is_done(status, &reply), "{broken} was done: {reply}");
        }
        let (status, reply) = self.iam(caller, &body).await?;
        ensure!(is_done(status, &reply), "{body}: {status} {reply}");
        self.document.check_reply(&name, &reply)?;
        self.done.insert(name);
        Ok(reply)
    }

    /// An operation of IAM that must be refused: with an error `type`, or with a status.
    pub(super) async fn refused(
        &mut self,
        caller: As<'_>,
        body: Value,
        expect: impl Into<Value>,
    ) -> anyhow::Result<()> {
        let (status, reply) = self.iam(caller, &body).await?;
        let told = if status == 200 { reply["error"]["type"].clone() } else { json!(status) };
        ensure!(told == expect.into(), "{body}: {status} {reply}");
        let name = body["operation"].as_str().context("no operation")?;
        self.refused.insert(name.to_owned());
        Ok(())
    }

    async fn iam(&mut self, caller: As<'_>, body: &Value) -> anyhow::Result<(u16, Value)> {
        self.post(caller, (IAM, "/api/v1/iam"), body).await
    }

    /// A request with one mistake each.
    fn broken(&self, operation: &str, body: &Value) -> Vec<Value> {
        let mut broken = Vec::new();
        let schema = self.document.iam_operation(operation);
        self.break_fields(schema, body, &mut |part| broken.push(part));
        for (name, property) in members(&schema["properties"]) {
            let inner = self.document.resolve(property);
            self.break_fields(inner, &body[name], &mut |part| {
                let mut whole = body.clone();
                whole[name] = part;
                broken.push(whole);
            });
        }
        broken
    }

    fn break_fields(&self, schema: &Value, body: &Value, put: &mut impl FnMut(Value)) {
        let Some(fields) = body.as_object() else { return };
        for required in schema["required"].as_array().into_iter().flatten() {
            let mut without = fields.clone();
            without.remove(required.as_str().unwrap_or_default());
            put(json!(without));
        }
        for (name, property) in members(&schema["properties"]) {
            let mut other = fields.clone();
            other.insert(name.to_owned(), json!(7));
            // A number is no value of any field.
            assert!(self.document.check(property, &json!(7)).is_err(), "{name}");
            put(json!(other));
        }
    }
}

fn is_done(status: u16, reply: &Value) -> bool {
    status == 200 && reply.get("error").is_none()
}
