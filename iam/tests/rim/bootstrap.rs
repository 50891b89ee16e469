//! The first admin.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::Decision;
use tollgate_proto::resource::Resource;
use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::files::write_new_secret;
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use super::harness::{Iam, NOW_MS, assert_nobody, settings, start_with};

/// What `openssl genpkey -algorithm ed25519` wrote for this test, and its public half.
const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIFVzG7gLaL7eNqMSjaSDo2iTsbgkWkYG34V3tF7BpMZb
-----END PRIVATE KEY-----";
const PUBLIC_KEY: &str = "JtOb7lerzFHh6Oq8zHPFDWeCMCqVpX67XaznQKvQIP4";

fn bootstrap() -> serde_json::Value {
    json!({"operation": "bootstrap"})
}

async fn is_available(iam: &Iam) -> bool {
    let status = json!({"operation": "bootstrap-status"});
    iam.operate(None, status).await.unwrap().bootstrap_available
}

#[tokio::test]
async fn a_fresh_deployment_is_claimed_once() {
    let iam = Iam::fresh().await;
    assert!(is_available(&iam).await);
    let reply = iam.operate(None, bootstrap()).await.unwrap();
    assert!(!reply.bootstrap_available);
    let admin = iam.person(reply.bootstrap_admin_api_key.unwrap().expose().to_owned()).await;
    assert_eq!(reply.bootstrap_admin_user_id.unwrap(), admin.id());
    assert_eq!(admin.identity.default_workspace.as_str(), "default");
    let decision = iam.decide_on(admin.actor(), Capability::IamAdmin, Resource::Deployment).await;
    assert_eq!(decision, Decision::Allow);

    assert!(!is_available(&iam).await);
    assert_nobody(iam.operate(None, bootstrap()).await);
}

#[tokio::test]
async fn many_claims_at_once_have_one_winner() {
    let iam = Iam::fresh().await;
    let claims = (0..16).map(|_| iam.operate(None, bootstrap()));
    let outcomes = futures_util::future::join_all(claims).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 15));
    lost.into_iter().for_each(assert_nobody);
}

#[tokio::test]
async fn a_claim_that_is_repeated_discloses_nothing() {
    let iam = Iam::fresh().await;
    let id = Uuid::now_v7();
    assert!(iam.operate_as(id, None, bootstrap()).await.is_ok());
    assert_nobody(iam.operate_as(id, None, bootstrap()).await);
}

#[tokio::test]
async fn the_window_closes_after_an_hour() {
    let iam = Iam::fresh().await;
    iam.clock.advance(Duration::from_hours(1));
    assert!(!is_available(&iam).await);
    assert_nobody(iam.operate(None, bootstrap()).await);
}

#[tokio::test]
async fn an_operators_token_seeds_an_admin_at_the_first_start_only() {
    let folder = tempfile::tempdir().unwrap();
    let token = "tg_chosen-by-the-operator-0123456789";
    let path = folder.path().join("token");
    write_new_secret(&path, token).unwrap();
    let file = path.display().to_string();
    let mode = [("iam.bootstrap_mode", "token"), ("iam.bootstrap_token_file", file.as_str())];
    let settings = settings(folder.path(), &mode);
    let folder = Arc::new(folder);
    for _ in 0..2 {
        let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
        let running = start_with(&settings, &clock, &life).await.unwrap();
        assert!(!running.bootstrap_available);
        let iam = Iam { address: running.address, clock, life, folder: Arc::clone(&folder) };
        let admin = iam.person(token.to_owned()).await;
        let whoami = iam.operate(Some(admin.actor()), json!({"operation": "whoami"})).await;
        let user = whoami.unwrap().user.unwrap();
        assert_eq!((&*user.username, user.roles), ("admin", vec!["admin".to_owned()]));
        assert_nobody(iam.operate(None, bootstrap()).await);
        iam.stop().await;
    }
}

#[tokio::test]
async fn an_operators_signing_key_signs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.key");
    write_new_secret(&path, SIGNING_KEY).unwrap();
    let file = path.display().to_string();
    let settings = settings(folder.path(), &[("iam.signing_key_file", &file)]);
    let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
    let running = start_with(&settings, &clock, &life).await.unwrap();
    let iam = Iam { address: running.address, clock, life, folder: Arc::new(folder) };
    let keys = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: iam\r\n\r\n";
    assert_eq!(iam.http(keys).await.1, r#"{"keys":[]}"#, "reading makes no key");
    iam.operate(None, bootstrap()).await.unwrap();
    assert!(iam.http(keys).await.1.contains(&format!("\"x\":\"{PUBLIC_KEY}\"")));
}

#[tokio::test]
async fn a_start_that_cannot_be_says_why_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let weak = folder.path().join("weak");
    write_new_secret(&weak, "tg_short").unwrap();
    let weak = weak.display().to_string();
    let blocked = folder.path().join("weak/data").display().to_string();
    let check = async |more: &[(&'static str, &str)], expect: &str| {
        let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
        let error = start_with(&settings(folder.path(), more), &clock, &life).await.unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
        assert!(!error.to_string().contains('\n'));
        life.stop(Duration::from_secs(5)).await;
    };
    let token = ("iam.bootstrap_mode", "token");
    check(&[token], "iam.bootstrap_token_file must be set").await;
    check(&[token, ("iam.bootstrap_token_file", &weak)], "must begin with tg_").await;
    let mistyped = folder.path().join("mistyped");
    write_new_secret(&mistyped, "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT3").unwrap();
    let mistyped = mistyped.display().to_string();
    check(&[token, ("iam.bootstrap_token_file", &mistyped)], "not be a mistyped API key").await;
    check(&[token, ("iam.bootstrap_token_file", "/nowhere")], "/nowhere: No such file").await;
    check(&[("iam.data_dir", &blocked)], "iam.data_dir: ").await;
    check(&[("iam.seal_key_file", &weak)], "a seal key is 64 hexadecimal digits").await;
    check(&[("iam.signing_key_file", &weak)], "iam.signing_key_file: there is no private key")
        .await;
    let open = folder.path().join("open").display().to_string();
    std::fs::write(&open, SIGNING_KEY).unwrap();
    check(&[("iam.signing_key_file", &open)], "others may read it").await;
    std::fs::create_dir(folder.path().join("garbled")).unwrap();
    let garbled_file = folder.path().join("garbled/iam.redb");
    write_new_secret(&garbled_file, &"not a database".repeat(999)).unwrap();
    write_new_secret(&folder.path().join("garbled/seal.key"), &"a".repeat(64)).unwrap();
    let garbled = folder.path().join("garbled").display().to_string();
    check(&[("iam.data_dir", &garbled)], "cannot be used: the journal's store failed: ").await;
    check(&[("iam.listen", "0.0.0.0:0"), ("iam.bootstrap_allow_remote", "true")], "has no TLS")
        .await;
}
