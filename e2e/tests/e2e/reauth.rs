//! Somebody authenticates again while calls are in flight.

use serde_json::{Value, json};
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::upstream::Upstream;

/// A Tollgate whose services `mine` (`llm`) and `yours` (`mcp`) are played by the test.
async fn scene(settings: &[(&'static str, &str)]) -> anyhow::Result<(Tollgate, Upstream)> {
    let upstream = Upstream::listen().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("registry.toml");
    let url = format!("http://{}/", upstream.address);
    std::fs::write(
        &file,
        format!(
            "[flow-service.mine]\ncapability = \"llm\"\nbackend = \"{url}\"\n\
             [flow-service.yours]\ncapability = \"mcp\"\nbackend = \"{url}\"\n"
        ),
    )?;
    let file = file.display().to_string();
    let settings = [&[("gateway.registry_file", &*file)], settings].concat();
    let tollgate = Tollgate::start_with(&settings).await?;
    let record = json!({ "id": "acme" });
    let create = json!({ "operation": "create-workspace", "workspace_record": record });
    tollgate.iam(create).await?;
    Ok((tollgate, upstream))
}

async fn call(socket: &mut Socket, id: u64, service: &str, workspace: &str) -> anyhow::Result<()> {
    let frame = json!({ "id": id, "service": service, "flow": "default", "workspace": workspace,
        "request": {} });
    socket.send(&frame).await
}

fn auth(token: &str, features: &[&str]) -> Value {
    json!({ "type": "auth", "token": token, "features": features })
}

#[tokio::test]
async fn calls_that_the_new_identity_may_not_make_end_and_the_others_go_on() -> anyhow::Result<()> {
    let (tollgate, upstream) = scene(&[]).await?;
    let (_, reader) = tollgate.user("ann", "reader").await?;
    let mut socket = Socket::open(tollgate.address).await?;
    socket.send(&auth(&tollgate.admin_key, &["heartbeat"])).await?;
    let greeting = socket.frame().await?;
    assert_eq!(greeting["type"], "auth-ok");
    assert!(greeting.get("kept").is_none(), "there was nothing to keep: {greeting}");
    call(&mut socket, 1, "mine", "default").await?;
    let (mut kept, _) = upstream.posted().await?;
    call(&mut socket, 2, "mine", "acme").await?;
    let (mut dropped, _) = upstream.posted().await?;

    socket.send(&auth(&reader, &["heartbeat"])).await?;
    let greeting = socket.frame().await?;
    assert_eq!((&greeting["kept"], &greeting["dropped"]), (&json!([1]), &json!([2])));
    let refused = socket.frame().await?;
    assert_eq!((&refused["id"], &refused["error"]["type"]), (&json!(2), &json!("access-denied")));
    dropped.closed().await?;
    kept.answer(&json!({ "n": 1 })).await?;
    let answered = socket.frame().await?;
    assert_eq!((&answered["id"], &answered["response"]), (&json!(1), &json!({ "n": 1 })));
    Ok(())
}

#[tokio::test]
async fn a_client_of_old_sees_the_error_alone() -> anyhow::Result<()> {
    let (tollgate, upstream) = scene(&[]).await?;
    let (_, reader) = tollgate.user("ann", "reader").await?;
    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    call(&mut socket, 2, "mine", "acme").await?;
    let (mut dropped, _) = upstream.posted().await?;
    let greeting = socket.auth(&reader).await?;
    assert_eq!((greeting.get("kept"), greeting.get("dropped")), (None, None), "{greeting}");
    assert_eq!(socket.frame().await?["error"]["type"], "access-denied");
    dropped.closed().await
}

#[tokio::test]
async fn calls_that_wait_run_under_the_new_credential_of_their_caller() -> anyhow::Result<()> {
    let (tollgate, upstream) = scene(&[("gateway.limits.max_inflight", "1")]).await?;
    let (user, old) = tollgate.user("ann", "reader").await?;
    let key = json!({ "user_id": user, "name": "next" });
    let made = tollgate.iam(json!({ "operation": "create-api-key", "key": key })).await?;
    let new = made["api_key_plaintext"].as_str().unwrap_or_default().to_owned();
    let mut socket = Socket::authenticated(tollgate.address, &old).await?;
    call(&mut socket, 1, "mine", "default").await?;
    let (mut first, _) = upstream.posted().await?;
    call(&mut socket, 2, "yours", "default").await?;
    call(&mut socket, 3, "mine", "acme").await?;

    assert_eq!(socket.auth(&new).await?["type"], "auth-ok");
    assert_eq!(socket.frame().await?["id"], 3, "it waits, and is refused all the same");
    let listed = tollgate.iam(json!({ "operation": "list-api-keys", "user_id": user })).await?;
    let keys = listed["api_keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let old = keys.iter().find(|key| key["name"] == "e2e").map(|key| key["id"].clone());
    tollgate.iam(json!({ "operation": "revoke-api-key", "key_id": old })).await?;
    first.answer(&json!({})).await?;
    assert_eq!(socket.frame().await?["id"], 1);
    // It would be refused under the old one, about which IAM was not asked yet.
    first.posted().await?;
    first.answer(&json!({ "n": 2 })).await?;
    assert_eq!(socket.frame().await?["response"], json!({ "n": 2 }));
    Ok(())
}
