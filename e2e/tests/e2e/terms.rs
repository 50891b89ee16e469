//! What an auth frame agrees on: heartbeats, and the size of frames.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tollgate_client::{Client, Config};
use tollgate_e2e::raw::Socket;
use tollgate_e2e::{Tollgate, echo};

const FAST: [(&str, &str); 2] =
    [("gateway.limits.heartbeat", "100ms"), ("gateway.limits.heartbeat_patience", "50ms")];

/// Python's `websockets`, which existing clients are built on.
const PYTHON: [(&str, &str); 1] = [("user-agent", "Python/3.12 websockets/15.0.1")];

async fn auth_with(socket: &mut Socket, token: &str, more: Value) -> anyhow::Result<Value> {
    let mut frame = json!({ "type": "auth", "token": token });
    if let (Some(frame), Value::Object(more)) = (frame.as_object_mut(), more) {
        frame.extend(more);
    }
    socket.send(&frame).await?;
    socket.frame().await
}

#[tokio::test]
async fn a_client_that_asked_for_heartbeats_and_is_silent_is_closed_4504() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&FAST).await?;
    let mut socket = Socket::open(tollgate.address).await?;
    let features = json!({ "features": ["heartbeat", "no-such"] });
    let greeting = auth_with(&mut socket, &tollgate.admin_key, features).await?;
    assert_eq!(greeting["heartbeat_ms"], 100);
    assert_eq!(greeting["features"], json!(["heartbeat"]), "what is not known is not granted");

    let bytes = socket.silent().await?;
    let ping = [0x89, 0];
    assert!(bytes.starts_with(&ping), "{bytes:?}");
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains(r#""code":4504,"reason":"heartbeat-missed","reconnect":"now""#),
        "{text}"
    );
    assert!(text.ends_with("heartbeat-missed"), "{text}");
    let pings = bytes.windows(2).filter(|pair| *pair == ping).count();
    assert_eq!(pings, 1, "closed after the first that is not answered");
    Ok(())
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&FAST).await?;
    let mut socket = Socket::open(tollgate.address).await?;
    auth_with(&mut socket, &tollgate.admin_key, json!({ "features": ["heartbeat"] })).await?;
    for _ in 0..5 {
        socket.pinged().await?;
    }
    socket.call(json!(1), json!({ "prompt": "x" })).await?;
    assert_eq!(socket.frame().await?["response"]["response"], "x");

    let features = vec!["heartbeat".to_owned()];
    let config = Config::new(tollgate.url()).token(tollgate.admin_key.clone());
    let client = Client::connect(Config { features, heartbeat: None, ..config }).await?;
    // Longer than a silent client lives here.
    assert!(timeout(Duration::from_millis(500), client.closed()).await.is_err());
    client.call(echo("x")?).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_did_not_ask_is_never_pinged_and_may_be_silent() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&FAST).await?;
    let never = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    let mut no_more = Socket::open(tollgate.address).await?;
    auth_with(&mut no_more, &tollgate.admin_key, json!({ "features": ["heartbeat"] })).await?;
    let greeting = auth_with(&mut no_more, &tollgate.admin_key, json!({})).await?;
    assert_eq!((greeting.get("heartbeat_ms"), &greeting["features"]), (None, &json!([])));
    for mut socket in [never, no_more] {
        assert!(timeout(Duration::from_millis(400), socket.pinged()).await.is_err());
        socket.call(json!(1), json!({ "prompt": "x" })).await?;
        assert_eq!(socket.frame().await?["response"]["response"], "x");
    }
    Ok(())
}

/// An answer of this many bytes, and how its call ended.
async fn ask_for(socket: &mut Socket, bytes: usize, streaming: bool) -> anyhow::Result<Value> {
    // Echoed twice, or in the last of two chunks.
    let prompt = if streaming { format!("a {}", "x".repeat(bytes)) } else { "x".repeat(bytes / 2) };
    socket.call(json!(bytes), json!({ "prompt": prompt, "streaming": streaming })).await?;
    loop {
        let frame = socket.frame().await?;
        assert_eq!(frame["id"], bytes);
        if frame["complete"] == true {
            return Ok(frame);
        }
    }
}

#[tokio::test]
async fn an_answer_beyond_what_the_client_takes_is_an_error_on_its_id() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut python = Socket::open_with(tollgate.address, "", &PYTHON).await?;
    python.auth(&tollgate.admin_key).await?;
    let mib = 1 << 20;
    for streaming in [false, true] {
        let frame = ask_for(&mut python, mib + 1, streaming).await?;
        assert_eq!(frame["error"]["type"], "too-large", "streaming: {streaming}");
        let frame = ask_for(&mut python, mib - 300, streaming).await?;
        assert!(frame.get("error").is_none(), "streaming: {streaming}");
    }
    // It can say that it takes more, and another kind of client that it takes less.
    auth_with(&mut python, &tollgate.admin_key, json!({ "max_frame": 8 * mib })).await?;
    assert!(ask_for(&mut python, 2 * mib, false).await?.get("error").is_none());
    let mut other = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    assert!(ask_for(&mut other, 2 * mib, false).await?.get("error").is_none());
    auth_with(&mut other, &tollgate.admin_key, json!({ "max_frame": 1_000 })).await?;
    assert_eq!(ask_for(&mut other, 1_001, false).await?["error"]["type"], "too-large");
    Ok(())
}

#[tokio::test]
async fn a_chunk_beyond_what_the_client_takes_stops_the_stream() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::open(tollgate.address).await?;
    auth_with(&mut socket, &tollgate.admin_key, json!({ "max_frame": 1_000 })).await?;
    let prompt = format!("a {} b c", "x".repeat(1_000));
    socket.call(json!(1), json!({ "prompt": prompt, "streaming": true })).await?;
    assert_eq!(socket.frame().await?["response"]["response"], "a ");
    let last = socket.frame().await?;
    assert_eq!((&last["error"]["type"], &last["complete"]), (&json!("too-large"), &json!(true)));
    // Nothing more of it comes.
    assert_eq!(ask_for(&mut socket, 100, false).await?["complete"], true);
    Ok(())
}
