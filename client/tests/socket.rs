//! The client against a server on a real socket that speaks the frames of the golden files.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which the lint does not recognise")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tollgate_client::{
    AuthError, CallError, Client, Closed, Config, ConnectError, Ended, Notice, Request, Stream,
};
use tollgate_proto::close::CloseCode;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::frame::server::{write_error, write_response};
use tollgate_proto::frame::{AuthFailed, AuthOk};
use tollgate_proto::ids::WorkspaceId;

/// The server's end of one socket; each test writes out what the server does.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    /// The next text frame; `None` when the client is gone.
    async fn frame(&mut self) -> Option<Value> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn send(&mut self, text: String) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn respond(&mut self, call: &Value, response: &Value, complete: bool) {
        self.send(write_response(&call["id"].to_string(), &response.to_string(), complete)).await;
    }

    async fn refuse(&mut self, call: &Value, kind: ErrorKind) {
        self.send(write_error(Some(&call["id"].to_string()), &WireError::new(kind))).await;
    }

    async fn close(&mut self, code: CloseCode) {
        let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
        self.0.close(Some(frame)).await.unwrap();
    }
}

struct Server {
    config: Config,
    listener: TcpListener,
}

async fn server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // Without a heartbeat nothing but commands and frames wakes the connection.
    Server { config: Config { heartbeat: None, ..Config::new(url) }, listener }
}

impl Server {
    async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        Peer(tokio_tungstenite::accept_async(stream).await.unwrap())
    }
}

/// A client without a credential, and the server's end of its socket.
async fn connected() -> (Client, Peer) {
    let server = server().await;
    let (client, peer) = tokio::join!(Client::connect(server.config.clone()), server.accept());
    (client.unwrap(), peer)
}

fn auth_ok() -> String {
    AuthOk::new(&WorkspaceId::default_workspace()).write()
}

fn request(body: &Value) -> Request {
    Request::new("echo", body).unwrap()
}

fn value(response: &serde_json::value::RawValue) -> Value {
    serde_json::from_str(response.get()).unwrap()
}

async fn next(stream: &mut Stream) -> Option<Result<Value, CallError>> {
    Some(stream.next().await?.map(|response| value(&response)))
}

#[tokio::test]
async fn connect_authenticates_with_the_first_frame() {
    let server = server().await;
    let mut config = server.config.clone().token("tg_x".to_owned());
    config.features = vec!["heartbeat".to_owned()];
    let serve = async {
        let mut peer = server.accept().await;
        let auth = peer.frame().await.unwrap();
        assert_eq!(auth, json!({"type": "auth", "token": "tg_x", "features": ["heartbeat"]}));
        peer.send(auth_ok()).await;
        peer
    };
    let (client, _peer) = tokio::join!(Client::connect(config), serve);
    assert_eq!(client.unwrap().session().unwrap().default_workspace, "default");
}

#[tokio::test]
async fn connect_says_why_there_is_no_client() {
    let server = server().await;
    let address = server.listener.local_addr().unwrap();
    let serve = async {
        let mut peer = server.accept().await;
        peer.frame().await.unwrap();
        peer.send(AuthFailed::refused().write()).await;
        assert!(peer.frame().await.is_none(), "the socket is closed");
    };
    let config = server.config.clone().token("tg_wrong".to_owned());
    let (refused, ()) = tokio::join!(Client::connect(config), serve);
    assert_eq!(refused.unwrap_err().to_string(), "auth failure");

    drop(server);
    let nobody = Client::connect(Config::new(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(nobody, ConnectError::Io { .. }), "{nobody}");
    assert_eq!(nobody.to_string(), format!("cannot connect to {address}"));
}

#[tokio::test]
async fn a_call_and_a_refusal() {
    let (client, mut peer) = connected().await;
    let serve = async {
        let call = peer.frame().await.unwrap();
        let expect = json!({"id": "c-1", "service": "text-completion", "flow": "default",
            "workspace": "w", "deadline_ms": 30000, "request": {"prompt": "hello"}});
        assert_eq!(call, expect);
        peer.respond(&call, &json!({"response": "hi"}), true).await;
        let call = peer.frame().await.unwrap();
        assert_eq!(call, json!({"id": "c-2", "service": "echo", "request": {}}));
        peer.refuse(&call, ErrorKind::Unavailable).await;
    };
    let calls = async {
        let hello = Request::new("text-completion", &json!({"prompt": "hello"})).unwrap();
        let hello = hello.flow("default").workspace("w").deadline(Duration::from_secs(30));
        assert_eq!(value(&client.call(hello).await.unwrap()), json!({"response": "hi"}));
        let refused = client.call(request(&json!({}))).await.unwrap_err();
        assert!(refused.retryable() && refused.kind() == Some("unavailable"), "{refused}");
        assert_eq!(refused.to_string(), "unavailable: unavailable");
    };
    tokio::join!(serve, calls);
}

#[tokio::test]
async fn a_stream_ends_with_its_last_frame() {
    let (client, mut peer) = connected().await;
    let serve = async {
        let call = peer.frame().await.unwrap();
        peer.respond(&call, &json!({"response": "hel"}), false).await;
        peer.respond(&call, &json!({"response": "lo", "end_of_stream": true}), true).await;
        let call = peer.frame().await.unwrap();
        peer.respond(&call, &json!({"response": "hel"}), false).await;
        peer.refuse(&call, ErrorKind::UpstreamError).await;
    };
    let calls = async {
        let mut stream = client.stream(request(&json!({}))).await.unwrap();
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), json!({"response": "hel"}));
        let last = json!({"response": "lo", "end_of_stream": true});
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), last);
        assert!(next(&mut stream).await.is_none() && next(&mut stream).await.is_none());

        let mut broken = client.stream(request(&json!({}))).await.unwrap();
        assert!(next(&mut broken).await.unwrap().is_ok());
        let error = next(&mut broken).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Some("upstream-error"));
        assert!(next(&mut broken).await.is_none());
    };
    tokio::join!(serve, calls);
}

#[tokio::test]
async fn a_hundred_calls_at_once_answered_backwards() {
    let (client, mut peer) = connected().await;
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let client = client.clone();
        calls.spawn(async move {
            let response = client.call(request(&json!({ "n": n }))).await.unwrap();
            assert_eq!(value(&response), json!({ "n": n }));
        });
    }
    let mut received = Vec::new();
    for _ in 0..100 {
        received.push(peer.frame().await.unwrap());
    }
    for call in received.iter().rev() {
        peer.respond(call, &call["request"], true).await;
    }
    calls.join_all().await;
}

#[tokio::test]
async fn a_dropped_call_and_a_dropped_stream_are_cancelled() {
    let (client, mut peer) = connected().await;
    {
        let call = client.call(request(&json!({})));
        tokio::pin!(call);
        tokio::select! {
            biased;
            _ = &mut call => panic!("nobody answered"),
            frame = peer.frame() => assert_eq!(frame.unwrap()["id"], "c-1"),
        }
    }
    assert_eq!(peer.frame().await.unwrap(), json!({"type": "cancel", "id": "c-1"}));

    let stream = client.stream(request(&json!({}))).await.unwrap();
    let call = peer.frame().await.unwrap();
    peer.respond(&call, &json!({}), false).await;
    drop(stream);
    assert_eq!(peer.frame().await.unwrap(), json!({"type": "cancel", "id": "c-2"}));

    // A late last frame is nobody's, and a call that came to its end is not cancelled.
    peer.refuse(&call, ErrorKind::Cancelled).await;
    let serve = async {
        let call = peer.frame().await.unwrap();
        peer.respond(&call, &json!({}), true).await;
    };
    let (result, ()) = tokio::join!(client.call(request(&json!({}))), serve);
    result.unwrap();
    drop(client);
    assert!(peer.frame().await.is_none(), "the socket is closed with the last handle");
}

#[tokio::test]
async fn a_call_that_was_dropped_in_the_queue_is_never_sent() {
    let (client, mut peer) = connected().await;
    {
        // Polled once: the call is queued, and the connection has not had its turn.
        let mut call = Box::pin(client.call(request(&json!({}))));
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    let serve = async {
        let call = peer.frame().await.unwrap();
        assert_eq!(call["id"], "c-2");
        peer.respond(&call, &json!({}), true).await;
    };
    let (result, ()) = tokio::join!(client.call(request(&json!({}))), serve);
    result.unwrap();
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_cancels_it() {
    let (client, mut peer) = connected().await;
    let deadline = Duration::from_millis(20);
    let call = client.call(request(&json!({})).deadline(deadline));
    let (result, frame) = tokio::join!(call, peer.frame());
    assert!(matches!(result, Err(CallError::Timeout(after)) if after == deadline));
    assert_eq!(frame.unwrap()["deadline_ms"], 20);
    assert_eq!(peer.frame().await.unwrap(), json!({"type": "cancel", "id": "c-1"}));

    let mut stream = client.stream(request(&json!({})).deadline(deadline)).await.unwrap();
    assert!(matches!(next(&mut stream).await, Some(Err(CallError::Timeout(_)))));
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test]
async fn everything_in_flight_ends_when_the_server_closes() {
    let (client, mut peer) = connected().await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let client = client.clone();
        calls.spawn(async move { client.call(request(&json!({}))).await.unwrap_err() });
    }
    let mut stream = client.stream(request(&json!({}))).await.unwrap();
    for _ in 0..11 {
        peer.frame().await.unwrap();
    }
    let mut notices = client.notices();
    peer.send(Notice::closing(CloseCode::Revoked).write()).await;
    peer.close(CloseCode::Revoked).await;

    let expect = |error: &CallError| {
        let CallError::Ended(Ended::Closed(closed)) = error else { panic!("{error:?}") };
        assert_eq!((closed.code, closed.reconnect.as_deref()), (4403, Some("reauth")));
    };
    for error in calls.join_all().await {
        expect(&error);
    }
    expect(&next(&mut stream).await.unwrap().unwrap_err());
    assert!(next(&mut stream).await.is_none());
    assert_eq!(notices.recv().await.unwrap(), Notice::closing(CloseCode::Revoked));
    // And so does everything after it.
    expect(&client.call(request(&json!({}))).await.unwrap_err());
    expect(&client.closed().await.into());
    assert!(matches!(client.authenticate("t".to_owned()).await, Err(AuthError::Ended(_))));
}

#[tokio::test]
async fn a_connection_that_is_lost_says_so() {
    let (client, peer) = connected().await;
    let call = client.call(request(&json!({})));
    let (result, ()) = tokio::join!(call, async { drop(peer) });
    let Err(CallError::Ended(Ended::Closed(closed))) = result else { panic!("{result:?}") };
    assert_eq!(closed.code, Closed::LOST);
}

#[tokio::test]
async fn a_server_that_does_not_speak_the_protocol_is_left() {
    let (client, mut peer) = connected().await;
    peer.send("nonsense".to_owned()).await;
    assert!(matches!(client.closed().await, Ended::Protocol(_)));
    let Some(Ok(Message::Close(Some(frame)))) = peer.0.next().await else { panic!() };
    assert_eq!(u16::from(frame.code), CloseCode::Protocol.code());
}

#[tokio::test]
async fn a_refused_credential_leaves_the_socket_and_a_second_one_is_taken() {
    let (client, mut peer) = connected().await;
    let serve = async {
        assert_eq!(peer.frame().await.unwrap()["token"], "wrong");
        peer.send(AuthFailed::refused().write()).await;
        assert_eq!(peer.frame().await.unwrap()["token"], "away");
        peer.send(AuthFailed::unreachable().write()).await;
        assert_eq!(peer.frame().await.unwrap()["token"], "right");
        peer.send(auth_ok()).await;
        let call = peer.frame().await.unwrap();
        peer.respond(&call, &json!({}), true).await;
    };
    let calls = async {
        let refused = client.authenticate("wrong".to_owned()).await;
        assert!(matches!(refused, Err(AuthError::Failed(f)) if f == AuthFailed::refused()));
        let away = client.authenticate("away".to_owned()).await;
        assert!(matches!(away, Err(AuthError::Failed(f)) if f.retryable == Some(true)));
        assert!(client.session().is_none());
        let ok = client.authenticate("right".to_owned()).await.unwrap();
        assert_eq!(client.session(), Some(ok));
        client.call(request(&json!({}))).await.unwrap();
    };
    tokio::join!(serve, calls);
}

#[tokio::test]
async fn a_stream_that_is_not_read_does_not_hold_up_a_call() {
    let server = server().await;
    let config = Config { stream_queue: 4, ..server.config.clone() };
    let (client, mut peer) = tokio::join!(Client::connect(config), server.accept());
    let client = client.unwrap();
    let mut stream = client.stream(request(&json!({}))).await.unwrap();
    let slow = peer.frame().await.unwrap();
    let serve = async {
        let call = peer.frame().await.unwrap();
        for n in 0..100 {
            peer.respond(&slow, &json!({ "n": n }), false).await;
        }
        peer.respond(&call, &json!({}), true).await;
        assert_eq!(peer.frame().await.unwrap(), json!({"type": "cancel", "id": slow["id"]}));
    };
    let (result, ()) = tokio::join!(client.call(request(&json!({}))), serve);
    result.unwrap();
    for n in 0..4 {
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), json!({ "n": n }));
    }
    assert!(matches!(next(&mut stream).await, Some(Err(CallError::SlowConsumer))));
    assert!(next(&mut stream).await.is_none());
}

#[tokio::test]
async fn pings_are_answered() {
    let (_client, mut peer) = connected().await;
    peer.0.send(Message::Ping("x".into())).await.unwrap();
    assert!(matches!(peer.0.next().await, Some(Ok(Message::Pong(echo))) if echo == "x"));
    peer.send(r#"{"type":"ping"}"#.to_owned()).await;
    assert_eq!(peer.frame().await.unwrap(), json!({"type": "pong"}));
}

#[tokio::test]
async fn a_server_that_is_silent_is_found_out() {
    let server = server().await;
    let config = Config { heartbeat: Some(Duration::from_millis(20)), ..server.config.clone() };
    // Nobody reads at the server, so nobody answers a ping.
    let (client, _peer) = tokio::join!(Client::connect(config), server.accept());
    let Ended::Closed(closed) = client.unwrap().closed().await else { panic!() };
    assert_eq!((closed.code, closed.reason.as_str()), (1006, "the server does not answer"));
}

#[tokio::test]
async fn close_ends_what_runs_and_says_goodbye() {
    let (client, mut peer) = connected().await;
    let mut stream = client.stream(request(&json!({}))).await.unwrap();
    peer.frame().await.unwrap();
    let ((), end) = tokio::join!(client.close(), peer.0.next());
    assert!(matches!(end, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1000));
    let error = next(&mut stream).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the connection was closed: 1000 closed by the caller");
}
