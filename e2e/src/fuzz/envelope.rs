//! JSON: of frames, of bodies, of requests that are passed on.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tollgate_proto::frame::{CallFrame, ClientFrame};
use tollgate_proto::json::{self, Limits, Object, ObjectError, Value};

/// A text as a frame and as a body: `serde_json` reads the same in it, before and after the
/// rewrite.
pub fn envelope(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let theirs = serde_json::from_str::<&RawValue>(text);
    match json::check(text, Limits::BACKEND) {
        Ok(()) => assert!(theirs.is_ok(), "not JSON: {text}"),
        // The one thing that is JSON and refused.
        Err(ObjectError::BeyondLimits) => {}
        Err(error) => assert!(theirs.is_err(), "{error}: {text}"),
    }
    for limits in [Limits::STRANGER, Limits::FRIEND] {
        if let Ok(object) = Object::parse(text, limits) {
            check_object(text, object);
        }
        if let Ok(ClientFrame::Call(call)) = ClientFrame::parse(text, limits) {
            check_call(text, &call);
        }
    }
}

/// The members as `serde_json` has them, each in its own words.
fn members(text: &str) -> BTreeMap<String, &str> {
    let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(text);
    assert!(members.is_ok(), "{members:?}: {text}");
    let members = members.unwrap_or_default().into_iter();
    members.map(|(key, value)| (key, value.get())).collect()
}

fn check_object(text: &str, object: Object<'_>) {
    let mut expect = members(text);
    for (key, value) in &expect {
        assert_eq!(object.get(key).map(json::Json::get), Some(*value), "{key:?} in {text}");
    }
    // What a backend gets has exactly the workspace that was authorised, and no context.
    let rewritten = object.rewrite(&[("workspace", Value::Text("w"))], &["user-context"]);
    expect.insert("workspace".to_owned(), "\"w\"");
    expect.remove("user-context");
    assert_eq!(members(rewritten.as_str()), expect, "{text}");
    let again = Object::parse(rewritten.as_str(), Limits::BACKEND);
    assert!(again.is_ok(), "{again:?}: {}", rewritten.as_str());
    for (key, value) in &expect {
        assert_eq!(rewritten.get(key).map(json::Json::get), Some(*value), "{key:?} in {text}");
    }
}

fn check_call(text: &str, call: &CallFrame<'_>) {
    let theirs = members(text);
    assert_eq!(theirs.get("id"), Some(&call.id.get()), "{text}");
    assert_eq!(theirs.get("request"), Some(&call.request.text.get()), "{text}");
    for (key, ours) in [
        ("service", Some(&call.service).filter(|service| !service.is_empty())),
        ("flow", call.flow.as_ref()),
        ("workspace", call.workspace.as_ref()),
        ("traceparent", call.traceparent.as_ref()),
    ] {
        if let Some(ours) = ours {
            let theirs = theirs.get(key).map(|value| serde_json::from_str::<String>(value));
            assert!(matches!(theirs, Some(Ok(value)) if value == **ours), "{key} in {text}");
        }
    }
    let written = call.write();
    let Ok(ClientFrame::Call(again)) = ClientFrame::parse(&written, Limits::BACKEND) else {
        assert!(written.is_empty(), "what was written is no call: {written}");
        return;
    };
    let parts = |call: &CallFrame<'_>| {
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let names = [text(&call.flow), text(&call.workspace), text(&call.traceparent)];
        (call.id.get().to_owned(), call.service.to_string(), names, call.deadline_ms)
    };
    assert_eq!(parts(&again), parts(call), "{text}");
    assert_eq!(again.request.text, call.request.text, "{text}");
}
