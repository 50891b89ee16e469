//! Sockets that are open: who is told of which, and closing them without taking anything away.

use anyhow::Context;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::upstream::Upstream;
use tollgate_e2e::{PASSWORD, Tollgate};

/// A socket, and the id by which its client knows it.
async fn open(tollgate: &Tollgate, token: &str) -> anyhow::Result<(Socket, Value)> {
    let mut socket = Socket::open(tollgate.address).await?;
    let mut ok = socket.auth(token).await?;
    anyhow::ensure!(ok["type"] == "auth-ok", "{ok}");
    Ok((socket, ok["session"].take()))
}

fn ids(reply: &Value) -> Vec<Value> {
    let sessions = reply["sessions"].as_array().into_iter().flatten();
    sessions.map(|session| session["id"].clone()).collect()
}

/// What somebody asks for over HTTP.
async fn ask(tollgate: &Tollgate, token: &str, request: &Value) -> anyhow::Result<Value> {
    let (status, reply) = tollgate.post("/api/v1/iam", Some(token), request).await?;
    anyhow::ensure!(status == 200, "{request}: {status} {reply}");
    Ok(reply)
}

fn kick(user: &str) -> Value {
    json!({ "operation": "kick-user", "user_id": user, "wait": true })
}

/// It is closed with a goodbye that says so, after these errors of calls.
async fn is_kicked(socket: &mut Socket, calls: &[Value]) -> anyhow::Result<()> {
    let (frames, code) = socket.close().await?;
    assert_eq!(code, 4403);
    let (goodbye, before) = frames.split_last().context("no frame")?;
    assert_eq!(goodbye["type"], "closing");
    let told: Vec<_> = before.iter().map(|it| json!([it["id"], it["error"]["type"]])).collect();
    assert_eq!(told, calls);
    Ok(())
}

/// An echo comes back.
async fn is_open(socket: &mut Socket) -> anyhow::Result<()> {
    socket.call(json!("still"), json!({ "prompt": "there" })).await?;
    let answer = socket.frame().await?;
    anyhow::ensure!(answer["id"] == "still" && answer.get("error").is_none(), "{answer}");
    Ok(())
}

#[tokio::test]
async fn open_sockets_are_listed() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (ann, key) = tollgate.user("ann", "reader").await?;
    let login = json!({ "username": "ann", "password": PASSWORD });
    let (_, session) = tollgate.post("/api/v1/auth/login", None, &login).await?;
    let (_first, first_id) = open(&tollgate, &key).await?;
    let (second, second_id) = open(&tollgate, session["jwt"].as_str().context("no JWT")?).await?;
    let (_other, other_id) = open(&tollgate, &tollgate.admin_key).await?;

    let own = ask(&tollgate, &key, &json!({ "operation": "list-sessions" })).await?;
    assert_eq!(ids(&own), [first_id.clone(), second_id.clone()]);
    assert_eq!(own["survey"], json!({ "gateways_heard": 1, "gateways_silent": 0 }));
    let of_key = &own["sessions"][0];
    assert_eq!((&of_key["user_id"], &of_key["username"]), (&json!(ann), &json!("ann")));
    assert_eq!(
        (&of_key["credential"], &of_key["address"]),
        (&json!("api-key"), &json!("127.0.0.1"))
    );
    let opened: jiff::Timestamp = of_key["opened"].as_str().context("no time")?.parse()?;
    assert!(jiff::Timestamp::now().duration_since(opened).as_secs() < 60, "{opened}");
    assert_eq!(own["sessions"][1]["credential"], "session");

    let of_ann = json!({ "operation": "list-sessions", "user_id": ann });
    assert_eq!(tollgate.iam(of_ann.clone()).await?["sessions"], own["sessions"]);
    let everybody = json!({ "operation": "list-sessions", "workspace": "default" });
    let everybody = ids(&tollgate.iam(everybody).await?);
    assert_eq!(everybody, [first_id.clone(), second_id, other_id]);

    second.leave().await?;
    // Its end is noticed when it is.
    while ids(&tollgate.iam(of_ann.clone()).await?) != [first_id.clone()] {}
    Ok(())
}

#[tokio::test]
async fn whoever_is_kicked_may_come_back() -> anyhow::Result<()> {
    let upstream = Upstream::listen().await?;
    let backend = format!("backend = \"http://{}/\"\n", upstream.address);
    let stanza = format!("[flow-service.mine]\ncapability = \"llm\"\n{backend}");
    let tollgate = Tollgate::start_with_registry(&stanza).await?;
    let (ann, key) = tollgate.user("ann", "reader").await?;
    let (_, other) = tollgate.user("bob", "reader").await?;
    let (mut idle, _) = open(&tollgate, &key).await?;
    let (mut busy, _) = open(&tollgate, &key).await?;
    let (mut stranger, _) = open(&tollgate, &other).await?;
    busy.send(&json!({ "id": 7, "service": "mine", "flow": "default", "request": {} })).await?;
    let (mut line, _) = upstream.posted().await?;

    let mut rehearsal = kick(&ann);
    (rehearsal["wait"], rehearsal["dry_run"]) = (json!(false), json!(true));
    let rehearsal = &tollgate.iam(rehearsal).await?["dry_run"];
    assert_eq!(
        (&rehearsal["sockets"], &rehearsal["changes"][0]["event"]),
        (&json!(2), &json!("socket.close"))
    );

    let receipt = &tollgate.iam(kick(&ann)).await?["receipt"];
    let ended = (&receipt["sockets_closed"], &receipt["calls_cancelled"]);
    assert_eq!(ended, (&json!(2), &json!(1)), "{receipt}");
    is_kicked(&mut idle, &[]).await?;
    is_kicked(&mut busy, &[json!([7, "unavailable"])]).await?;
    line.closed().await?;
    is_open(&mut stranger).await?;
    let (mut back, _) = open(&tollgate, &key).await?;
    is_open(&mut back).await
}

#[tokio::test]
async fn one_socket_is_closed_and_no_other() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (_, key) = tollgate.user("ann", "reader").await?;
    let (mut first, _) = open(&tollgate, &key).await?;
    let (mut second, second_id) = open(&tollgate, &key).await?;
    let end = json!({ "operation": "end-session", "session_id": second_id, "wait": true });
    // By itself too; over the socket that it is about, the answer comes first.
    second.send(&json!({ "id": 1, "service": "iam", "request": end })).await?;
    let answer = second.frame().await?;
    assert_eq!(answer["response"]["receipt"]["sockets_closed"], 1, "{answer}");
    is_kicked(&mut second, &[]).await?;
    is_open(&mut first).await?;
    let gone = ask(&tollgate, &tollgate.admin_key, &end).await?;
    assert_eq!(gone["error"]["type"], "not-found");
    Ok(())
}

#[tokio::test]
async fn a_socket_of_a_flow_is_one_too() -> anyhow::Result<()> {
    let upstream = Upstream::listen().await?;
    let urls = format!("urls = [\"http://{}/\"]\n", upstream.address);
    let stanzas = format!(
        "[backend.bulk]\ntype = \"http\"\n{urls}[flow-export.triples]\nbackend = \"bulk\"\n"
    );
    let tollgate = Tollgate::start_with_registry(&stanzas).await?;
    let (ann, key) = tollgate.user("ann", "reader").await?;
    let url = format!("ws://{}/api/v1/flow/default/export/triples?token={key}", tollgate.address);
    let stream = TcpStream::connect(tollgate.address).await?;
    let opened = Socket::open_over(stream, &url, &[]);
    let (client, backend) = tokio::join!(opened, upstream.socket());
    let (mut client, (mut backend, _)) = (client?, backend?);
    let list = json!({ "operation": "list-sessions", "user_id": ann });
    assert_eq!(ids(&tollgate.iam(list).await?).len(), 1);
    let receipt = &tollgate.iam(kick(&ann)).await?["receipt"];
    assert_eq!(receipt["sockets_closed"], 1, "{receipt}");
    assert_eq!(client.close().await?.1, 4403);
    assert_eq!(backend.close().await?.1, 1001);
    Ok(())
}
