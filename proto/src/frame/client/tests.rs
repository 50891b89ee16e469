use secrecy::ExposeSecret;

use super::*;

fn parse(text: &str) -> Result<ClientFrame<'_>, Malformed<'_>> {
    ClientFrame::parse(text, Limits::FRIEND)
}

fn token(text: &str) -> Option<String> {
    match parse(text) {
        Ok(ClientFrame::Auth(auth)) => auth.token.map(|t| t.expose_secret().to_owned()),
        other => panic!("{other:?}"),
    }
}

fn malformed(text: &str) -> (Option<String>, &'static str, &'static str) {
    let error = parse(text).unwrap_err();
    (error.id.map(|id| id.get().to_owned()), error.kind.as_str(), error.message)
}

#[test]
fn tokens_of_every_wrong_kind_are_one() {
    assert_eq!(token(r#"{"type":"auth","token":" tg_x\n"}"#).unwrap(), "tg_x");
    for none in ["", r#","token":"""#, r#","token":" ""#, r#","token":7"#, r#","token":null"#] {
        assert_eq!(token(&format!(r#"{{"type":"auth"{none}}}"#)), None);
    }
}

#[test]
fn ids_keep_their_json_type() {
    for id in ["7", "\"7\"", "0", "\"\"", "null", "1.0", "[1]", r#"{"a":1}"#] {
        let text = format!(r#"{{"id":{id},"service":"s","request":{{}}}}"#);
        let Ok(ClientFrame::Call(call)) = parse(&text) else { panic!("{id}") };
        assert_eq!(call.id.get(), id);
    }
}

#[test]
fn falsy_flow_and_workspace_are_absent() {
    for falsy in ["null", "\"\"", "false", "0"] {
        let text = format!(r#"{{"id":1,"flow":{falsy},"workspace":{falsy},"request":{{}}}}"#);
        let Ok(ClientFrame::Call(call)) = parse(&text) else { panic!("{falsy}") };
        assert!(call.flow.is_none() && call.workspace.is_none() && call.service.is_empty());
    }
}

#[test]
fn a_frame_with_a_request_is_a_call_whatever_its_type() {
    for kind in [r#""ping""#, r#""cancel""#, "7", r#""no such""#] {
        let text = format!(r#"{{"type":{kind},"id":1,"request":{{}}}}"#);
        assert!(matches!(parse(&text), Ok(ClientFrame::Call(_))), "{kind}");
    }
}

#[test]
fn frames_that_cannot_be_taken_say_why() {
    assert_eq!(malformed("nonsense"), (None, "error", "the frame is not JSON"));
    assert_eq!(malformed("[1]"), (None, "error", "the frame is not a JSON object"));
    assert_eq!(malformed("\"x\""), (None, "error", "the frame is not a JSON object"));
    assert_eq!(malformed("{}"), (None, "error", "Bad message"));
    assert_eq!(malformed(r#"{"id":"a"}"#), (Some("\"a\"".into()), "error", "Bad message"));
    assert_eq!(malformed(r#"{"id":0}"#), (None, "error", "Bad message"));
    assert_eq!(malformed(r#"{"request":{}}"#), (None, "error", "Bad message"));
    assert_eq!(malformed(r#"{"type":"cancel"}"#), (None, "error", "Bad message"));
    assert_eq!(
        malformed(r#"{"id":1,"id":2,"request":{}}"#),
        (None, "error", "a key of the frame is repeated"),
    );
    assert_eq!(
        malformed(r#"{"id":1,"service":7,"request":{}}"#),
        (Some("1".into()), "invalid-request", "service must be a string"),
    );
    assert_eq!(
        malformed(r#"{"id":1,"deadline_ms":-1,"request":{}}"#).2,
        "deadline_ms must be a whole number of milliseconds",
    );
    let deep = format!(r#"{{"id":1,"request":{}{}}}"#, "[".repeat(99), "]".repeat(99));
    assert_eq!(malformed(&deep).0, Some("1".into()));
    assert_eq!(malformed(&deep).1, "invalid-request");
}

#[test]
fn a_written_call_reads_back() {
    let text = r#"{"id":"a\"b","service":"s","flow":"f","workspace":"w","traceparent":"t","deadline_ms":5,"request":{"x":[1]}}"#;
    let Ok(ClientFrame::Call(call)) = parse(text) else { panic!() };
    assert_eq!(call.write(), text);
}
