//! How they end: each side learns what it may do about it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Received;

use super::Scene;

#[tokio::test]
async fn a_backend_that_ends_is_told_to_the_client() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    for (said, told) in [(1000, 1000), (1001, 1012), (1012, 1012), (1009, 1009), (4000, 1011)] {
        let (mut client, mut backend) = scene.join_as_admin("export").await?;
        backend.send(&json!({ "last": true })).await?;
        backend.goodbye(said).await?;
        assert_eq!(client.frame().await?["last"], true);
        assert_eq!(client.next().await?, Received::Closed(told), "{said}");
    }
    let (mut client, backend) = scene.join_as_admin("export").await?;
    drop(backend);
    assert_eq!(client.next().await?, Received::Closed(1011), "without a goodbye");
    Ok(())
}

#[tokio::test]
async fn a_backend_can_tell_a_client_that_was_done_from_one_that_vanished() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (mut client, mut backend) = scene.join_as_admin("import").await?;
    client.goodbye(1000).await?;
    assert_eq!(backend.next().await?, Received::Closed(1000));
    let (client, mut backend) = scene.join_as_admin("import").await?;
    drop(client);
    assert_eq!(backend.next().await?, Received::Closed(1001));
    Ok(())
}

#[tokio::test]
async fn a_drain_delivers_what_was_taken_and_closes_both() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (mut client, mut backend) = scene.join_as_admin("import").await?;
    client.send(&json!({ "n": 1 })).await?;
    assert_eq!(backend.frame().await?["n"], 1);
    let (stopped, told, ended) = tokio::join!(scene.tollgate.stop(), client.next(), backend.next());
    assert!(stopped);
    assert_eq!((told?, ended?), (Received::Closed(1012), Received::Closed(1001)));
    Ok(())
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_both() -> anyhow::Result<()> {
    let scene = Scene::open_with("", &[("gateway.limits.max_message", "64KiB")]).await?;
    let (mut client, mut backend) = scene.join_as_admin("import").await?;
    client.send(&json!("x".repeat(64 << 10))).await?;
    assert_eq!(client.next().await?, Received::Closed(1009));
    assert_eq!(backend.next().await?, Received::Closed(1001));
    Ok(())
}

/// A key of a new user's: its id, and the key.
async fn key_of(tollgate: &Tollgate, more: Value) -> anyhow::Result<(Value, String)> {
    let (user, _) = tollgate.user("ann", "writer").await?;
    let mut key = json!({ "user_id": user, "name": "brief" });
    if let (Some(key), Value::Object(more)) = (key.as_object_mut(), more) {
        key.extend(more);
    }
    let made = tollgate.iam(json!({ "operation": "create-api-key", "key": key })).await?;
    let plaintext = made["api_key_plaintext"].as_str().unwrap_or_default().to_owned();
    Ok((made["api_key"]["id"].clone(), plaintext))
}

#[tokio::test]
async fn a_credential_that_expires_ends_it_after_its_grace() -> anyhow::Result<()> {
    // The lease is short, so that IAM is asked within the grace time too.
    let settings = [("gateway.auth.grace", "1s"), ("link.lease", "500ms")];
    let scene = Scene::open_with("", &settings).await?;
    let soon = Timestamp::now() + SignedDuration::from_secs(2);
    let (_, key) = key_of(&scene.tollgate, json!({ "expires": soon.to_string() })).await?;
    let (mut client, mut backend, _) = scene.join("import", &key).await?;
    assert_eq!(client.next().await?, Received::Closed(4401));
    assert!(Timestamp::now() > soon + SignedDuration::from_millis(900), "in its grace");
    assert_eq!(backend.next().await?, Received::Closed(1001));
    Ok(())
}

#[tokio::test]
async fn authority_that_is_taken_away_ends_it_within_the_lease() -> anyhow::Result<()> {
    let scene = Scene::open_with("", &[("link.lease", "500ms")]).await?;
    let (id, key) = key_of(&scene.tollgate, json!({})).await?;
    let (mut client, mut backend, _) = scene.join("import", &key).await?;
    scene.tollgate.iam(json!({ "operation": "revoke-api-key", "key_id": id })).await?;
    assert_eq!(client.next().await?, Received::Closed(4403));
    assert_eq!(backend.next().await?, Received::Closed(1001));

    let acme = json!({ "id": "acme" });
    let create = json!({ "operation": "create-workspace", "workspace_record": acme });
    scene.tollgate.iam(create).await?;
    let token = format!("{}&workspace=acme", scene.tollgate.admin_key);
    let (mut client, mut backend, asked) = scene.join("export", &token).await?;
    assert_eq!(asked.headers["tollgate-workspace"], "acme");
    let disable = json!({ "operation": "disable-workspace", "workspace_record": acme });
    scene.tollgate.iam(disable).await?;
    assert_eq!(client.next().await?, Received::Closed(4451));
    assert_eq!(backend.next().await?, Received::Closed(1001));
    Ok(())
}
