//! The built-in backend: answers every request with itself, so that a fresh install answers
//! something and a benchmark measures the gateway alone.
//!
//! `{"prompt":"hello"}` → `{"echo":{…},"response":"hello"}`; with `"streaming":true` a chunk a
//! word, the last with `end_of_stream`. The text is that of the first of `prompt`, `question`,
//! `query`, `text`, `content`; without one there is no `response`. An agent's answer is dressed
//! as the agents' clients expect theirs.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::json::{Object, push_string};

use super::Backend;
use crate::authorise::Permit;
use crate::reply::{Chunks, Outcome};

const TEXTS: [&str; 5] = ["prompt", "question", "query", "text", "content"];
const AGENT: &str = "agent";

pub(super) struct Echo {
    flows: HashSet<String>,
}

impl Echo {
    pub(super) fn new(flows: &[String]) -> Self {
        Self { flows: flows.iter().cloned().collect() }
    }

    fn check_flow(&self, permit: &Permit, request: &Object<'_>) -> Result<(), WireError> {
        match &permit.call().flow {
            Some(flow) if !self.flows.contains(flow.as_str()) => {
                let workspace = request.text("workspace").unwrap_or_default();
                let message = format!("Invalid flow {workspace}/{flow}");
                Err(WireError::with_message(ErrorKind::Error, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn answer(&self, permit: &Permit, request: Object<'static>, chunks: &Chunks) -> Outcome {
        self.check_flow(permit, &request)?;
        let text = TEXTS.iter().find_map(|key| request.text(key));
        let is_agent = &*permit.call().name == AGENT;
        let streams = request.get("streaming").is_some_and(|value| value.get() == "true");
        // The agents' clients read a stream whether they asked for one or not.
        if !streams && !is_agent {
            return Ok(whole(request.as_str(), text.as_deref()));
        }
        let text = text.unwrap_or(Cow::Borrowed("echo"));
        let words: Vec<&str> = text.split_inclusive(' ').collect();
        let (last, first) = words.split_last().unwrap_or((&"", &[]));
        for word in first {
            chunks.send(part(word, is_agent, false)).await?;
        }
        Ok(part(last, is_agent, true))
    }
}

impl Backend for Echo {
    fn call<'a>(
        &'a self,
        permit: &'a Permit,
        request: Object<'static>,
        _deadline: Option<Instant>,
        chunks: &'a Chunks,
    ) -> BoxFuture<'a, Outcome> {
        self.answer(permit, request, chunks).boxed()
    }
}

fn whole(request: &str, text: Option<&str>) -> String {
    let room = request.len() + text.map_or(0, str::len) + 32;
    let mut out = String::with_capacity(room);
    out.push_str(r#"{"echo":"#);
    out.push_str(request);
    if let Some(text) = text {
        out.push_str(r#","response":"#);
        push_string(&mut out, text);
    }
    out.push('}');
    out
}

fn part(text: &str, is_agent: bool, is_last: bool) -> String {
    let mut out = String::from(r#"{"response":"#);
    push_string(&mut out, text);
    if is_agent {
        out.push_str(r#","message_type":"answer","content":"#);
        push_string(&mut out, text);
        let _ = write!(out, r#","end_of_message":{is_last},"end_of_dialog":{is_last}"#);
    }
    out.push_str(if is_last { r#","end_of_stream":true}"# } else { r#","end_of_stream":false}"# });
    out
}
