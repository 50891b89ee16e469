//! Authority that ends or moves while calls are on their way.

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tollgate_e2e::raw::{self, Received, Socket};
use tollgate_e2e::upstream::{Line, Upstream};
use tollgate_e2e::{PASSWORD, Tollgate};

/// A Tollgate whose service `mine` (`llm`) is played by the test, with a workspace beside the
/// default one.
struct Scene {
    tollgate: Tollgate,
    upstream: Upstream,
}

impl Scene {
    async fn open() -> anyhow::Result<Self> {
        let upstream = Upstream::listen().await?;
        let stanza = format!(
            "[flow-service.mine]\ncapability = \"llm\"\nbackend = \"http://{}/\"\n",
            upstream.address
        );
        let tollgate = Tollgate::start_with_registry(&stanza).await?;
        let record = json!({ "id": "acme" });
        let create = json!({ "operation": "create-workspace", "workspace_record": record });
        tollgate.iam(create).await?;
        Ok(Self { tollgate, upstream })
    }

    async fn change(&self, operation: &str, user: &str, more: Value) -> anyhow::Result<()> {
        let mut change = json!({ "operation": operation, "user_id": user });
        if let (Some(change), Value::Object(more)) = (change.as_object_mut(), more) {
            change.extend(more);
        }
        self.tollgate.iam(change).await.map(drop)
    }

    /// A call that has reached its backend, which has said something.
    async fn call(&self, socket: &mut Socket, id: u64, workspace: &str) -> anyhow::Result<Line> {
        socket.send(&frame(id, workspace)).await?;
        let (mut line, _) = self.upstream.posted().await?;
        line.begin_stream("application/x-ndjson").await?;
        line.chunk("{\"part\":0}\n").await?;
        let first = socket.frame().await?;
        assert_eq!((&first["id"], &first["response"]["part"]), (&json!(id), &json!(0)));
        Ok(line)
    }
}

fn frame(id: u64, workspace: &str) -> Value {
    json!({ "id": id, "service": "mine", "flow": "default", "workspace": workspace, "request": {} })
}

fn refused(id: u64) -> (Value, Value) {
    (json!(id), json!("access-denied"))
}

fn told(frame: &Value) -> (Value, Value) {
    (frame["id"].clone(), frame["error"]["type"].clone())
}

#[tokio::test]
async fn calls_end_with_the_authority_under_which_they_run() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (user, key) = scene.tollgate.user("ann", "reader").await?;
    let mut socket = Socket::authenticated(scene.tollgate.address, &key).await?;
    let mut first = scene.call(&mut socket, 1, "default").await?;
    let mut second = scene.call(&mut socket, 2, "default").await?;
    let disable = json!({ "operation": "disable-user", "user_id": user, "wait": true });
    let receipt = &scene.tollgate.iam(disable).await?["receipt"];
    let ended = (&receipt["sockets_closed"], &receipt["calls_cancelled"]);
    assert_eq!(ended, (&json!(1), &json!(2)), "{receipt}");
    // Neither of them is said another word of, and nobody has to ask.
    let (frames, code) = socket.close().await?;
    assert_eq!(code, 4403);
    assert_eq!(frames.iter().take(2).map(told).collect::<Vec<_>>(), [refused(1), refused(2)]);
    assert_eq!(frames[2]["type"], "auth-revoked");
    assert_eq!((frames[3]["type"].as_str(), frames.len()), (Some("closing"), 4));
    first.closed().await?;
    second.closed().await
}

#[tokio::test]
async fn calls_that_may_not_go_on_end_and_the_others_go_on() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (user, key) = scene.tollgate.user("ann", "reader").await?;
    let grant = |workspace| json!({ "grant": { "role": "reader", "workspace": workspace } });
    scene.change("add-user-grant", &user, grant("acme")).await?;
    let mut socket = Socket::authenticated(scene.tollgate.address, &key).await?;
    let mut at_home = scene.call(&mut socket, 1, "default").await?;
    let mut away = scene.call(&mut socket, 2, "acme").await?;

    scene.change("remove-user-grant", &user, grant("acme")).await?;
    assert_eq!(told(&socket.frame().await?), refused(2));
    away.closed().await?;
    at_home.chunk("{\"part\":1}\n").await?;
    assert_eq!(socket.frame().await?["response"]["part"], 1);
    // Nothing that moves elsewhere is of any concern, nor is what is given.
    scene.tollgate.user("ben", "reader").await?;
    scene.change("add-user-grant", &user, grant("acme")).await?;
    let mut away = scene.call(&mut socket, 2, "acme").await?;
    let record = json!({ "id": "acme" });
    let disable = json!({ "operation": "disable-workspace", "workspace_record": record });
    scene.tollgate.iam(disable).await?;
    assert_eq!(told(&socket.frame().await?), refused(2));
    away.closed().await?;
    at_home.chunk("{\"part\":2}\n").await?;
    assert_eq!(socket.frame().await?["response"]["part"], 2);

    scene.change("remove-user-grant", &user, grant("default")).await?;
    let (frames, code) = socket.close().await?;
    // What it might do is in a workspace that is disabled.
    assert_eq!((told(&frames[0]), code), (refused(1), 4451));
    at_home.closed().await
}

#[tokio::test]
async fn an_http_call_ends_so_too() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (user, key) = scene.tollgate.user("ann", "reader").await?;
    let address = scene.tollgate.address;
    let call = async |token: &str| {
        raw::post(address, "/api/v1/flow/default/service/mine", Some(token), b"{}").await
    };
    let (ended, ()) = tokio::try_join!(call(&key), async {
        let (mut line, _) = scene.upstream.posted().await?;
        let disable = json!({ "operation": "disable-user", "user_id": user, "wait": true });
        let receipt = &scene.tollgate.iam(disable).await?["receipt"];
        assert_eq!(receipt["calls_cancelled"], 1, "{receipt}");
        line.closed().await
    })?;
    assert_eq!(ended.0, 403, "{ended:?}");
    let again = call(&key).await?;
    assert_eq!(again.0, 401, "{again:?}");
    Ok(())
}

#[tokio::test]
async fn a_new_password_ends_sessions_and_no_keys() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (user, key) = scene.tollgate.user("ann", "reader").await?;
    let login = json!({ "username": "ann", "password": PASSWORD });
    let (_, session) = scene.tollgate.post("/api/v1/auth/login", None, &login).await?;
    let session = session["jwt"].as_str().unwrap_or_default();
    let mut of_key = Socket::authenticated(scene.tollgate.address, &key).await?;
    let mut of_session = Socket::authenticated(scene.tollgate.address, session).await?;
    let mut keeps = scene.call(&mut of_key, 1, "default").await?;
    let mut ends = scene.call(&mut of_session, 1, "default").await?;
    scene.change("reset-password", &user, json!({})).await?;
    let (frames, code) = of_session.close().await?;
    assert_eq!((told(&frames[0]), code), (refused(1), 4403));
    ends.closed().await?;
    keeps.chunk("{\"part\":1}\n").await?;
    assert_eq!(of_key.frame().await?["response"]["part"], 1);
    Ok(())
}

#[tokio::test]
async fn what_a_client_has_left_unread_does_not_reach_it_any_more() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (user, key) = scene.tollgate.user("ann", "reader").await?;
    let stream = TcpSocket::new_v4()?;
    stream.set_recv_buffer_size(4_096)?;
    let stream = stream.connect(scene.tollgate.address).await?;
    let url = format!("ws://{}/api/v1/socket", scene.tollgate.address);
    let mut socket = Socket::open_over(stream, &url, &[]).await?;
    socket.auth(&key).await?;
    // More than the system keeps for one who does not read.
    socket.send(&frame(0, "default")).await?;
    let (mut line, _) = scene.upstream.posted().await?;
    for id in 1..=8 {
        line.answer(&json!({ "text": "x".repeat(7 << 20) })).await?;
        socket.send(&frame(id, "default")).await?;
        line.posted().await?;
    }
    let disable = json!({ "operation": "disable-user", "user_id": user, "wait": true });
    let receipt = &scene.tollgate.iam(disable).await?["receipt"];
    assert_eq!(receipt["sockets_closed"], 1, "{receipt}");
    let mut frames = 0;
    loop {
        match socket.next().await? {
            Received::Frame(frame) if frame.get("response").is_some() => frames += 1,
            Received::Gone => break,
            other => anyhow::bail!("behind what was not read: {other:?}"),
        }
    }
    assert!(frames < 8, "all of them came");
    Ok(())
}
