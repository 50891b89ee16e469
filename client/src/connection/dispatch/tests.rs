//! Frames go where they belong, and a stream that is not read harms nobody else.

use super::*;

struct Fixture {
    dispatch: Dispatch,
    session: watch::Receiver<Option<AuthOk>>,
}

fn fixture() -> Fixture {
    let (session, receiver) = watch::channel(None);
    let (notices, _) = broadcast::channel(4);
    Fixture { dispatch: Dispatch::new(session, notices), session: receiver }
}

impl Fixture {
    fn call(&mut self, number: CallNumber) -> oneshot::Receiver<CallResult> {
        let (sender, receiver) = oneshot::channel();
        self.dispatch.wait_for_call(number, Slot::Call(sender));
        receiver
    }

    fn stream(&mut self, number: CallNumber, room: usize) -> mpsc::Receiver<Part> {
        let (sender, receiver) = mpsc::channel(room + 1);
        self.dispatch.wait_for_call(number, Slot::Stream(sender));
        receiver
    }

    fn take(&mut self, text: &str) -> Option<String> {
        self.dispatch.take(text).unwrap()
    }
}

fn taken(parts: &mut mpsc::Receiver<Part>) -> Vec<String> {
    std::iter::from_fn(|| parts.try_recv().ok())
        .map(|part| match part.result {
            Ok(response) => response.get().to_owned(),
            Err(error) => error.to_string(),
        })
        .collect()
}

#[test]
fn a_call_gets_its_last_frame() {
    let mut fixture = fixture();
    let mut reply = fixture.call(1);
    fixture.take(r#"{"id":"c-1","response":{"n":1},"complete":false}"#);
    fixture.take(r#"{"id":"c-2","response":{"n":2},"complete":true}"#);
    fixture.take(r#"{"id":1,"response":{"n":3},"complete":true}"#);
    fixture.take(r#"{"type":"no-such-frame"}"#);
    assert!(reply.try_recv().is_err());
    fixture.take(r#"{"id":"c-1","response":{"n":4},"complete":true}"#);
    assert_eq!(reply.try_recv().unwrap().unwrap().get(), r#"{"n":4}"#);
}

#[test]
fn errors_of_the_gateway_and_of_services_are_told_apart() {
    let check = |response: &str, expect: &str| {
        let mut fixture = fixture();
        let mut reply = fixture.call(1);
        fixture.take(&format!(r#"{{"id":"c-1",{response},"complete":true}}"#));
        let result = reply.try_recv().unwrap();
        assert_eq!(format!("{result:?}").split('(').nth(1).unwrap(), expect, "{response}");
    };
    check(r#""error":{"type":"access-denied","message":"access denied"}"#, "Refused");
    check(r#""response":{"error":{"type":"llm-error","message":"m"}}"#, "Service");
    check(r#""response":{"error":{"message":"m"}}"#, "Service");
    // A service may use the word for something else.
    for fine in
        [r#"{"error":null}"#, r#"{"error":{}}"#, r#"{"text":"\"error\""}"#, r#"{"error":1}"#]
    {
        check(&format!(r#""response":{fine}"#), "RawValue");
    }
}

#[test]
fn a_stream_that_is_not_read_ends_and_is_cancelled() {
    let mut fixture = fixture();
    let mut parts = fixture.stream(1, 2);
    let mut other = fixture.call(2);
    let chunk = r#"{"id":"c-1","response":{},"complete":false}"#;
    assert_eq!(fixture.take(chunk), None);
    assert_eq!(fixture.take(chunk), None);
    assert_eq!(fixture.take(chunk).unwrap(), r#"{"type":"cancel","id":"c-1"}"#);
    assert_eq!(fixture.take(chunk), None);
    fixture.take(r#"{"id":"c-2","response":{},"complete":true}"#);
    assert!(other.try_recv().unwrap().is_ok());
    let slow = CallError::SlowConsumer.to_string();
    assert_eq!(taken(&mut parts), ["{}", "{}", &slow]);
}

#[test]
fn the_last_frame_finds_a_place_in_a_full_queue() {
    let mut fixture = fixture();
    let mut parts = fixture.stream(1, 1);
    fixture.take(r#"{"id":"c-1","response":{"n":1},"complete":false}"#);
    fixture.take(r#"{"id":"c-1","response":{"n":2},"complete":true}"#);
    assert_eq!(taken(&mut parts), [r#"{"n":1}"#, r#"{"n":2}"#]);
}

#[test]
fn the_session_follows_what_the_server_says() {
    let mut fixture = fixture();
    let workspace = |f: &Fixture| f.session.borrow().as_ref().map(|s| s.default_workspace.clone());
    fixture.take(r#"{"type":"auth-ok","default_workspace":"a"}"#);
    assert_eq!(workspace(&fixture).as_deref(), Some("a"));
    fixture.take(r#"{"type":"auth-failed","error":"auth failure"}"#);
    assert_eq!(workspace(&fixture).as_deref(), Some("a"), "the former identity stays");
    fixture.take(r#"{"type":"auth-expired"}"#);
    assert_eq!(workspace(&fixture), None);
}

#[test]
fn the_reason_of_a_close_has_the_advice_of_the_closing_frame() {
    let farewell = r#"{"type":"closing","code":4403,"reason":"revoked","reconnect":"reauth","retry_after_ms":50}"#;
    let told = |ended: Closed| {
        let mut fixture = fixture();
        fixture.take(farewell);
        fixture.dispatch.explain(ended.into())
    };
    let advised = |ended: &Ended| match ended {
        Ended::Closed(closed) => closed.reconnect.is_some() && closed.code == 4403,
        Ended::Protocol(_) => false,
    };
    assert!(advised(&told(Closed::new(4403, "revoked"))));
    assert!(advised(&told(Closed::lost("reset"))));
    assert!(!advised(&told(Closed::new(1000, "closed by the caller"))));
}

#[test]
fn a_message_that_is_no_frame_ends_the_connection() {
    let mut fixture = fixture();
    for broken in ["nonsense", r#"{"id":"c-1","error":7,"complete":true}"#] {
        assert!(matches!(fixture.dispatch.take(broken), Err(Ended::Protocol(_))), "{broken}");
    }
    assert_eq!(fixture.take(r#"{"type":"ping"}"#).unwrap(), r#"{"type":"pong"}"#);
}
