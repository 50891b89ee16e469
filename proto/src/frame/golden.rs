//! Every golden file reads as its kind of frame and is what the writers write.

use serde_json::value::RawValue;

use super::client::{ClientFrame, write_cancel};
use super::feature::Feature;
use super::server::{
    AuthFailed, AuthOk, Notice, ServerFrame, SessionLimits, write_error, write_pong, write_response,
};
use crate::close::CloseCode;
use crate::error::{ErrorKind, WireError};
use crate::json::Limits;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/", $name, ".json")).trim_end()
    };
}

fn client(text: &str) -> ClientFrame<'_> {
    ClientFrame::parse(text, Limits::STRANGER).unwrap()
}

fn server(text: &str) -> ServerFrame<'_> {
    ServerFrame::parse(text).unwrap()
}

#[test]
fn client_frames() {
    let ClientFrame::Auth(auth) = client(golden!("auth")) else { panic!() };
    assert_eq!(auth.write(), golden!("auth"));
    let ClientFrame::Call(call) = client(golden!("call")) else { panic!() };
    assert_eq!(call.write(), golden!("call"));
    let ClientFrame::Cancel { id } = client(golden!("cancel")) else { panic!() };
    assert_eq!(write_cancel(id), golden!("cancel"));
    let ClientFrame::Ping { t } = client(golden!("ping")) else { panic!() };
    assert_eq!(write_pong(t), golden!("pong"));
    assert!(matches!(client(golden!("pong")), ClientFrame::Pong));
    assert!(matches!(server(golden!("pong")), ServerFrame::Pong));
    assert!(matches!(server(golden!("ping")), ServerFrame::Ping));
}

#[test]
fn answers_to_auth() {
    let expect = AuthOk {
        workspace: "default".into(),
        default_workspace: "default".into(),
        session: "0198c2f0-5b1e-7cc0-b8a5-0d4d3f1f0a01".into(),
        principal: "0198c2f0-5b1e-7cc0-b8a5-0d4d3f1f0a02".into(),
        expires_in_ms: Some(3_600_000),
        reauth_in_ms: Some(3_060_000),
        heartbeat_ms: None,
        limits: SessionLimits {
            max_message: 52_428_800,
            max_inflight: 64,
            ..SessionLimits::default()
        },
        features: vec![],
        kept: None,
        dropped: None,
        protocol: 1,
    };
    assert_eq!(expect.write(), golden!("auth-ok"));
    let ServerFrame::AuthOk(read) = server(golden!("auth-ok")) else { panic!() };
    assert_eq!(read, expect);
    let again = AuthOk {
        heartbeat_ms: Some(25_000),
        features: vec![Feature::Heartbeat.as_str().to_owned()],
        kept: Some(vec!["req-1".into()]),
        dropped: Some(vec!["req-2".into()]),
        ..expect
    };
    assert_eq!(again.write(), golden!("auth-ok-again"));
    let ServerFrame::AuthOk(read) = server(golden!("auth-ok-again")) else { panic!() };
    assert_eq!(read, again);

    assert_eq!(AuthFailed::refused().write(), golden!("auth-failed"));
    assert_eq!(AuthFailed::unreachable().write(), golden!("auth-failed-retryable"));
    for text in [golden!("auth-failed"), golden!("auth-failed-retryable")] {
        let ServerFrame::AuthFailed(read) = server(text) else { panic!() };
        assert_eq!(read.write(), text);
    }
}

#[test]
fn answers_to_calls() {
    for (text, last) in [(golden!("response-chunk"), false), (golden!("response-last"), true)] {
        let ServerFrame::Response { id, response, complete } = server(text) else { panic!() };
        assert_eq!(complete, last);
        assert_eq!(write_response(id.get(), response.get(), complete), text);
    }
    let in_trace = |error, id: &str| WireError { trace_id: Some(id.to_owned()), ..error };
    let denied = WireError::new(ErrorKind::AccessDenied);
    let denied = in_trace(denied, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(write_error(Some("\"req-1\""), &denied), golden!("error"));
    let not_json = WireError::with_message(ErrorKind::Error, "the frame is not JSON");
    let not_json = in_trace(not_json, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(write_error(None, &not_json), golden!("error-without-id"));
    let ServerFrame::Error { id: Some(id), error } = server(golden!("error")) else { panic!() };
    assert_eq!((id.get(), error.r#type.as_str()), ("\"req-1\"", "access-denied"));
    assert!(matches!(server(golden!("error-without-id")), ServerFrame::Error { id: None, .. }));
}

#[test]
fn notices() {
    let check = |notice: Notice, text: &str| {
        assert_eq!(notice.write(), text);
        let ServerFrame::Notice(read) = server(text) else { panic!("{text}") };
        assert_eq!(read, notice);
    };
    check(Notice::AuthExpiring { expires_in_ms: 540_000 }, golden!("auth-expiring"));
    check(Notice::AuthExpired {}, golden!("auth-expired"));
    check(
        Notice::AuthRevoked { scope: "credential".into(), reconnect: "reauth".into() },
        golden!("auth-revoked"),
    );
    check(
        Notice::GoingAway {
            reason: "deploy".into(),
            deadline_ms: 30_000,
            reconnect_after_ms: 1_000,
        },
        golden!("going-away"),
    );
    check(Notice::closing(CloseCode::Revoked), golden!("closing"));
    check(Notice::Notice { req: "req-1".into(), error: "conflict".into() }, golden!("notice"));
}

#[test]
fn ids_are_echoed_as_they_came() {
    let id: &RawValue = serde_json::from_str("7").unwrap();
    assert_eq!(write_response(id.get(), "{}", true), r#"{"id":7,"response":{},"complete":true}"#);
    let null = write_response("null", "{}", true);
    assert!(matches!(server(&null), ServerFrame::Response { id, .. } if id.get() == "null"));
}
