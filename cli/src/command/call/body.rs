//! The request of a call: where it comes from, and what the flags add to it.
//!
//! In: an argument. Out: a JSON object; every byte that the flags do not name is as it was given.

use std::io::{self, Read};

use anyhow::Context as _;
use serde_json::value::RawValue;
use tollgate_proto::json::{Limits, Object, Value};

use crate::command::Misuse;

/// Reads `-` from standard input, `@FILE` from a file; anything else is the request itself.
pub(super) fn read(argument: &str) -> anyhow::Result<String> {
    if argument == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {path}")),
        None => Ok(argument.to_owned()),
    }
}

/// Puts the operation, and `streaming`, into the object.
pub(super) fn complete(
    text: &str,
    operation: Option<&str>,
    as_stream: bool,
) -> Result<Box<RawValue>, Misuse> {
    let misuse = |error| Misuse(format!("the request is no JSON object: {error}"));
    let text = text.trim();
    let object = Object::parse(text, Limits::FRIEND).map_err(|error| misuse(error.to_string()))?;
    let mut set = Vec::new();
    if let Some(operation) = operation {
        if object.get("operation").is_some()
            && object.text("operation").as_deref() != Some(operation)
        {
            return Err(Misuse("the request and --operation name different operations".to_owned()));
        }
        set.push(("operation", Value::Text(operation)));
    }
    if as_stream && object.get("streaming").is_none() {
        set.push(("streaming", Value::Json("true")));
    }
    let completed = object.rewrite(&set, &[]).into_string();
    RawValue::from_string(completed).map_err(|error| misuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, operation: Option<&str>, as_stream: bool, expect: &str) {
        let body = match complete(text, operation, as_stream) {
            Ok(body) => body.get().to_owned(),
            Err(misuse) => misuse.to_string(),
        };
        assert_eq!(body, expect, "{text}");
    }

    #[test]
    fn flags_add_to_the_request_and_leave_the_rest_alone() {
        check(r#" {"b":1e400,"a":[ ]} "#, None, false, r#"{"b":1e400,"a":[ ]}"#);
        check("{}", Some("list"), false, r#"{"operation":"list"}"#);
        check(r#"{"type":"x"}"#, Some("list"), false, r#"{"operation":"list","type":"x"}"#);
        check(r#"{"operation":"list"}"#, Some("list"), false, r#"{"operation":"list"}"#);
        check("{}", None, true, r#"{"streaming":true}"#);
        check(r#"{"a":1}"#, None, true, r#"{"streaming":true,"a":1}"#);
        check(r#"{"streaming":false}"#, None, true, r#"{"streaming":false}"#);
    }

    #[test]
    fn what_cannot_be_a_request_says_why() {
        let conflict = "the request and --operation name different operations";
        check(r#"{"operation":"put"}"#, Some("list"), false, conflict);
        check(r#"{"operation":7}"#, Some("list"), false, conflict);
        check("hello", None, false, "the request is no JSON object: not JSON");
        check("[1]", None, false, "the request is no JSON object: not a JSON object");
        check(r#"{"a":1,"a":2}"#, None, false, "the request is no JSON object: a key is repeated");
    }
}
