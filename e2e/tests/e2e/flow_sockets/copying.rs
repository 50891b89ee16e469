//! What goes through: every message as it came, and no faster than it is read.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;
use tollgate_e2e::raw::Received;
use tollgate_e2e::upstream::switching;
use tollgate_runtime::files::write_new_secret;

use super::{Scene, open_at};

#[tokio::test]
async fn a_backend_learns_who_calls_and_gets_what_was_sent() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let secret = folder.path().join("secret");
    write_new_secret(&secret, "for the backend's eyes")?;
    let lines = format!("secret_file = {:?}", secret.display().to_string());
    let scene = Scene::open_with(&lines, &[]).await?;
    let (id, key) = scene.tollgate.user("ada", "writer").await?;
    let url = format!(
        "ws://{}/api/v1/flow/a%2Fb%20c/import/triples?workspace=default&token={key}",
        scene.tollgate.address
    );
    let (client, backend) = tokio::join!(open_at(&url), scene.upstream.socket());
    let (mut client, (mut backend, mut asked)) = (client?, backend?);
    assert_eq!(asked.line, "GET /bulk?x=1 HTTP/1.1");
    assert!(asked.headers.remove("sec-websocket-key").is_some());
    let expect = [
        ("authorization", "Bearer for the backend's eyes"),
        ("connection", "Upgrade"),
        ("host", &scene.upstream.address.to_string()),
        ("sec-websocket-version", "13"),
        ("tollgate-flow", "a/b%20c"),
        ("tollgate-principal", &id),
        ("tollgate-service", "import/triples"),
        ("tollgate-workspace", "default"),
        ("upgrade", "websocket"),
    ];
    let expect: BTreeMap<_, _> =
        expect.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(asked.headers, expect, "and no header of the client's");

    let large = "x".repeat(3 << 20);
    let messages = [
        Message::text(r#"{ "triples" : [] }"#),
        Message::binary(vec![0, 255, 1]),
        Message::text(""),
        Message::text(large),
    ];
    for message in &messages {
        client.0.send(message.clone()).await?;
        assert_eq!(&backend.message().await?, message);
        backend.0.send(message.clone()).await?;
        assert_eq!(&client.message().await?, message);
    }
    Ok(())
}

#[tokio::test]
async fn all_that_a_client_sent_before_its_goodbye_arrives() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (mut client, mut backend) = scene.join_as_admin("import").await?;
    let send = async {
        for n in 0..2_000 {
            client.send(&json!({ "n": n, "pad": "x".repeat(1_000) })).await?;
        }
        client.goodbye(1000).await?;
        client.next().await
    };
    let receive = async {
        for n in 0..2_000 {
            assert_eq!(backend.frame().await?["n"], n);
        }
        backend.next().await
    };
    let ends = tokio::try_join!(send, receive)?;
    assert_eq!(ends, (Received::Closed(1000), Received::Closed(1000)));
    Ok(())
}

#[tokio::test]
async fn a_message_right_behind_the_upgrade_is_not_lost() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let url = scene.url("export", &format!("token={}", scene.tollgate.admin_key));
    let answer = async {
        let mut line = scene.upstream.accept().await?;
        let asked = line.posted().await?;
        // In one write with the answer: a text message of two bytes.
        let bytes = [switching(&asked)?.as_bytes(), b"\x81\x02{}"].concat();
        line.0.write_all(&bytes).await?;
        anyhow::Ok(line)
    };
    let (client, _line) = tokio::try_join!(open_at(&url), answer)?;
    let mut client = client;
    assert_eq!(client.text().await?, "{}");
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_stops_its_own_writer_and_is_closed() -> anyhow::Result<()> {
    let scene = Scene::open_with("", &[("gateway.limits.write_stall", "1s")]).await?;
    let (slow, its_backend) = scene.join_as_admin("export").await?;
    let (mut other, mut other_backend) = scene.join_as_admin("export").await?;
    // More than all buffers hold: it ends when the gateway says goodbye.
    let (mut taken, message) = (0_usize, Message::text("x".repeat(64 << 10)));
    let (mut write, mut read) = its_backend.0.split();
    let flood = async {
        while write.send(message.clone()).await.is_ok() {
            taken += 64 << 10;
        }
    };
    let flood = async { tokio::select!(() = flood => None, told = read.next() => told) };
    let elsewhere = async {
        for n in 0..20 {
            other_backend.send(&json!({ "n": n })).await?;
            assert_eq!(other.frame().await?["n"], n);
        }
        anyhow::Ok(())
    };
    let both = async { tokio::join!(flood, elsewhere) };
    let (told, fine) = tokio::time::timeout(Duration::from_secs(30), both).await?;
    fine?;
    let Some(Ok(Message::Close(Some(close)))) = told else { panic!("{told:?}") };
    assert_eq!(u16::from(close.code), 1001);
    assert!(taken < 32 << 20, "{taken} bytes were taken for somebody who reads nothing");
    // Whether its own goodbye reaches it is a question of time.
    drop(slow);
    Ok(())
}

#[tokio::test]
async fn what_was_minted_for_the_backends_reaches_them() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (id, _) = scene.tollgate.user("ada", "writer").await?;
    let context = r#"{"tier":"a b"}"#;
    let mint = json!({ "operation": "mint-token", "user_id": id, "workspace": "default", "user_context_json": context });
    let minted = scene.tollgate.iam(mint).await?;
    let token = minted["jwt"].as_str().unwrap_or_default();
    let (_client, _backend, asked) = scene.join("import", token).await?;
    assert_eq!(asked.headers["tollgate-user-context"], r#"{"tier":"a%20b"}"#);
    Ok(())
}
