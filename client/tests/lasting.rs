//! The client that connects again, against a server on a real socket.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which the lint does not recognise")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tollgate_client::{CallError, Config, Ended, LastingClient, Request, State, Tokens};
use tollgate_proto::close::CloseCode;
use tollgate_proto::frame::server::{Notice, write_response};
use tollgate_proto::frame::{AuthFailed, AuthOk};
use tollgate_proto::ids::WorkspaceId;

const SOON: Duration = Duration::from_secs(20);

struct Server(TcpListener);

/// The server's end of one socket.
struct Peer(WebSocketStream<TcpStream>);

impl Server {
    async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn client(&self) -> LastingClient {
        self.client_with(Tokens::fixed("tg_x".to_owned()))
    }

    fn client_with(&self, tokens: Tokens) -> LastingClient {
        let url = format!("http://{}/", self.0.local_addr().unwrap());
        let pause = Duration::from_millis(5);
        let config = Config {
            heartbeat: None,
            first_pause: pause,
            longest_pause: pause,
            ..Config::new(url)
        };
        LastingClient::new(config, tokens)
    }

    /// The next socket, with the token that it came with.
    async fn accept(&self) -> (Peer, String) {
        let (stream, _) = tokio::time::timeout(SOON, self.0.accept()).await.unwrap().unwrap();
        let mut peer = Peer(tokio_tungstenite::accept_async(stream).await.unwrap());
        let auth = peer.frame().await.unwrap();
        assert_eq!(auth["type"], "auth");
        (peer, auth["token"].as_str().unwrap().to_owned())
    }

    /// The next socket, authenticated.
    async fn welcome(&self) -> Peer {
        let (mut peer, _) = self.accept().await;
        peer.send(auth_ok(None)).await;
        peer
    }
}

impl Peer {
    async fn frame(&mut self) -> Option<Value> {
        match tokio::time::timeout(SOON, self.0.next()).await.unwrap()?.ok()? {
            Message::Text(text) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }
    }

    async fn send(&mut self, text: String) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn answer(&mut self, said: &str) {
        let call = self.frame().await.unwrap();
        let body = json!({ "said": said }).to_string();
        self.send(write_response(&call["id"].to_string(), &body, true)).await;
    }

    async fn close(mut self, code: CloseCode) {
        self.send(Notice::closing(code).write()).await;
        let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
        self.0.close(Some(frame)).await.unwrap();
        // A reset would overtake what was sent.
        while self.frame().await.is_some() {}
    }
}

fn auth_ok(reauth_in_ms: Option<u64>) -> String {
    AuthOk { reauth_in_ms, ..AuthOk::new(&WorkspaceId::default_workspace()) }.write()
}

fn request() -> Request {
    Request::new("echo", &json!({})).unwrap()
}

#[tokio::test]
async fn a_safe_call_is_made_again_over_the_next_socket_and_no_other_is() {
    let server = Server::listen().await;
    let client = server.client();
    let serve = async {
        let mut first = server.welcome().await;
        assert!(first.frame().await.is_some() && first.frame().await.is_some());
        drop(first);
        let mut second = server.welcome().await;
        second.answer("hello").await;
        second
    };
    let (safe, other, mut second) =
        tokio::join!(client.call(request().safe()), client.call(request()), serve);
    assert_eq!(safe.unwrap().get(), r#"{"said":"hello"}"#);
    assert!(matches!(other.unwrap_err(), CallError::Ended(_)));
    // And the next one goes over the socket that is there.
    let (again, ()) = tokio::join!(client.call(request()), second.answer("again"));
    assert_eq!(again.unwrap().get(), r#"{"said":"again"}"#);
}

#[tokio::test]
async fn a_call_waits_for_its_socket_no_longer_than_it_says() {
    let server = Server::listen().await;
    let client = server.client();
    let after = Duration::from_millis(30);
    let late = client.call(request().deadline(after)).await.unwrap_err();
    assert!(matches!(late, CallError::Timeout(told) if told == after), "{late}");
}

#[tokio::test]
async fn a_fresh_credential_is_sent_before_one_ends() {
    let server = Server::listen().await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let client = server.client_with(Tokens::from_fn(move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if number == 1 { Err("no network".into()) } else { Ok(format!("t{number}").into()) }
        }
    }));
    let (mut peer, token) = server.accept().await;
    assert_eq!(token, "t0");
    peer.send(auth_ok(Some(1))).await;
    // The source failed once, and was asked again; the socket is the same.
    let again = peer.frame().await.unwrap();
    assert_eq!(again, json!({"type": "auth", "token": "t2"}));
    peer.send(auth_ok(None)).await;
    // And what the server says of its end is taken up at once.
    peer.send(Notice::AuthExpired {}.write()).await;
    assert_eq!(peer.frame().await.unwrap()["token"], "t3");
    peer.send(auth_ok(None)).await;
    let (said, ()) = tokio::join!(client.call(request()), peer.answer("hello"));
    said.unwrap();
}

#[tokio::test]
async fn a_gateway_that_is_about_to_go_finishes_its_calls_and_gets_no_more() {
    let server = Server::listen().await;
    let client = server.client();
    let mut old = server.welcome().await;
    let running = client.clone();
    let running = async move { running.call(request()).await };
    let replace = async {
        let call = old.frame().await.unwrap();
        let reason = "restart".to_owned();
        let going = Notice::GoingAway { reason, deadline_ms: 9_000, reconnect_after_ms: 1 };
        old.send(going.write()).await;
        let mut new = server.welcome().await;
        let (said, ()) = tokio::join!(client.call(request()), new.answer("new"));
        assert_eq!(said.unwrap().get(), r#"{"said":"new"}"#);
        old.send(write_response(&call["id"].to_string(), r#"{"said":"old"}"#, true)).await;
        // Nothing holds it any more.
        assert!(old.frame().await.is_none());
    };
    let (said, ()) = tokio::join!(running, replace);
    assert_eq!(said.unwrap().get(), r#"{"said":"old"}"#);
}

#[tokio::test]
async fn what_the_gateway_advises_is_done() {
    let server = Server::listen().await;
    let client = server.client();
    let states = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&states);
    client.on_state(move |state| told.lock().unwrap().push(state.clone()));
    server.welcome().await.close(CloseCode::Overloaded).await;
    server.welcome().await.close(CloseCode::Policy).await;
    let mut state = client.state();
    let is_over = state.wait_for(|state| matches!(state, State::Over(_)));
    let over = tokio::time::timeout(SOON, is_over).await.unwrap().unwrap().clone();
    let State::Over(Ended::Closed(closed)) = &over else { panic!("{over:?}") };
    assert_eq!((closed.code, closed.reconnect.as_deref()), (1008, Some("never")));
    assert!(matches!(client.call(request().safe()).await, Err(CallError::Ended(_))));
    client.close().await;
    let states = states.lock().unwrap();
    assert!(states.contains(&State::Ready) && states.last() == Some(&over), "{states:?}");
}

#[tokio::test]
async fn a_credential_that_is_refused_again_and_again_is_given_up() {
    let server = Server::listen().await;
    let client = server.client();
    for _ in 0..3 {
        let (mut peer, _) = server.accept().await;
        peer.send(AuthFailed::refused().write()).await;
    }
    let refused = client.call(request()).await.unwrap_err();
    assert_eq!(refused.to_string(), "the connection was closed: 4401 auth failure");
}

#[tokio::test]
async fn closing_ends_calls_and_attempts() {
    let server = Server::listen().await;
    let client = server.client();
    let mut peer = server.welcome().await;
    let close = async {
        peer.frame().await.unwrap();
        let closing = client.close();
        let (frame, ()) = tokio::join!(peer.frame(), closing);
        assert!(frame.is_none());
    };
    let (ended, ()) = tokio::join!(client.call(request().safe()), close);
    assert!(matches!(ended.unwrap_err(), CallError::Ended(_)));
    assert!(matches!(&*client.state().borrow(), State::Over(_)));
}
