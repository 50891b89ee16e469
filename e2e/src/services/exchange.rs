//! What a service is asked and answers, as it stands in a text.

use anyhow::{Context, ensure};
use serde_json::Value;

/// A question that must come, and its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    service: String,
    flow: String,
    /// What the request must have; `"*"` is any value.
    request: Value,
    pub(super) answers: Vec<Value>,
    /// It may come again.
    often: bool,
    pub(super) came: bool,
}

/// A question that came.
pub(super) struct Asked<'a> {
    pub(super) service: &'a str,
    pub(super) flow: &'a str,
    pub(super) workspace: &'a str,
    pub(super) request: Value,
}

impl Exchange {
    /// The exchanges of a text, without its comments.
    pub fn read(text: &str) -> anyhow::Result<Vec<Self>> {
        let mut exchanges: Vec<Self> = Vec::new();
        for line in text.lines() {
            let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
            match mark {
                ">" | "*>" => {
                    let question = Self::question(rest, mark == "*>");
                    exchanges.push(question.with_context(|| rest.to_owned())?);
                }
                "<" => {
                    let answer = serde_json::from_str(rest).with_context(|| rest.to_owned())?;
                    let exchange = exchanges.last_mut().context("an answer before a question")?;
                    exchange.answers.push(answer);
                }
                _ => ensure!(line.is_empty() || line.starts_with('#'), "neither: {line:?}"),
            }
        }
        Ok(exchanges)
    }

    fn question(text: &str, often: bool) -> anyhow::Result<Self> {
        let mut words = text.splitn(3, ' ');
        let mut word = || words.next().context("a service, a flow, and a request are needed");
        let (service, flow) = (word()?.to_owned(), word()?.to_owned());
        let request = serde_json::from_str(word()?)?;
        Ok(Self { service, flow, request, answers: Vec::new(), often, came: false })
    }

    /// Whether it is this that was asked. It must be in the workspace of the play, if it names no
    /// other: so says the header, which a service goes by, and so does the request of a call. The
    /// metrics are in none.
    pub(super) fn is(&self, asked: &Asked<'_>, workspace: &str) -> bool {
        let wanted = match &*self.service {
            "metrics" => "-",
            _ => self.request["workspace"].as_str().unwrap_or(workspace),
        };
        let is_call = asked.request.is_object() && !asked.service.contains('/');
        let placed =
            asked.workspace == wanted && (!is_call || asked.request["workspace"] == wanted);
        placed
            && (self.often || !self.came)
            && (&*self.service, &*self.flow) == (asked.service, asked.flow)
            && has(&asked.request, &self.request)
    }
}

/// Whether a value has all that another one has.
fn has(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (_, Value::String(any)) if any == "*" => !value.is_null(),
        (Value::Object(value), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| value.get(name).is_some_and(|value| has(value, wanted))),
        (Value::Array(value), Value::Array(wanted)) => {
            value.len() == wanted.len() && value.iter().zip(wanted).all(|(v, w)| has(v, w))
        }
        (value, wanted) => value == wanted,
    }
}
