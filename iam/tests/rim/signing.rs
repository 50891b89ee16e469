//! Signing keys: published, then used, then retired; or revoked.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{Check, Refusal, RefusalKind};
use tollgate_proto::resource::Resource;

use super::harness::{Iam, PASSWORD, Person, assert_denied, assert_nobody, assert_refused};

/// How long a key is published before it signs, and verifies after it did; less a moment.
const ALMOST_PUBLISHED: Duration = Duration::from_millis(14_999);
const ALMOST_GRACE: Duration = Duration::from_millis(7_199_999);
const MOMENT: Duration = Duration::from_millis(1);

async fn rotate(iam: &Iam, by: &Person) -> String {
    operate(iam, by, json!({"operation": "rotate-signing-key"})).await.unwrap()
}

async fn revoke(iam: &Iam, by: &Person, kid: &str) -> Result<String, Refusal> {
    operate(iam, by, json!({"operation": "rotate-signing-key", "revoke": kid})).await
}

async fn operate(iam: &Iam, by: &Person, operation: Value) -> Result<String, Refusal> {
    let reply = iam.operate(Some(by.actor()), operation).await?;
    Ok(reply.signing_key_id.unwrap())
}

async fn login(iam: &Iam) -> String {
    iam.login("ann", PASSWORD).await.unwrap().jwt.unwrap().expose().to_owned()
}

/// The key that signed a token.
fn kid(token: &str) -> String {
    let header = BASE64.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// The keys that are published.
async fn published(iam: &Iam) -> Vec<String> {
    let (_, body) = iam.http("GET /.well-known/jwks.json HTTP/1.1\r\nHost: iam\r\n\r\n").await;
    let set: Value = serde_json::from_str(&body).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// A token of the key that signs once the published one was seen to.
async fn login_with(iam: &Iam, expected: &str) -> String {
    let wait = async {
        loop {
            let token = login(iam).await;
            if kid(&token) == expected {
                return token;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the next key never signs")
}

#[tokio::test]
async fn a_key_is_published_before_it_signs_and_verifies_after_it_did() {
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let old_token = login(&iam).await;
    let old = kid(&old_token);
    assert_eq!(published(&iam).await, std::slice::from_ref(&old));

    let next = rotate(&iam, &admin).await;
    let both = published(&iam).await;
    assert!(both.len() == 2 && both.contains(&old) && both.contains(&next), "{both:?}");
    iam.clock.advance(ALMOST_PUBLISHED);
    assert_eq!(kid(&login(&iam).await), old);
    assert_eq!(rotate(&iam, &admin).await, next, "it is the next one already");

    iam.clock.advance(MOMENT);
    let new_token = login_with(&iam, &next).await;
    for token in [&old_token, &new_token] {
        assert!(iam.authenticate(token).await.is_ok());
    }
    iam.clock.advance(ALMOST_GRACE);
    assert_eq!(published(&iam).await.len(), 2);
    iam.clock.advance(MOMENT);
    assert_eq!(published(&iam).await, [next]);
}

#[tokio::test]
async fn of_rotations_at_the_same_time_one_wins_and_all_hear_of_its_key() {
    let (iam, admin) = Iam::claimed().await;
    let answers = futures_util::future::join_all((0..16).map(|_| rotate(&iam, &admin))).await;
    assert!(answers.iter().all(|kid| *kid == answers[0]), "{answers:?}");
    assert_eq!(published(&iam).await.len(), 2);
}

#[tokio::test]
async fn the_next_key_signs_after_a_start_too() {
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let next = rotate(&iam, &admin).await;
    let iam = Iam::on(iam.stop().await).await;
    iam.clock.advance(ALMOST_PUBLISHED + MOMENT);
    login_with(&iam, &next).await;
}

#[tokio::test]
async fn a_revoked_key_ends_at_once_and_another_one_signs() {
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let token = login(&iam).await;
    let first = kid(&token);

    let second = revoke(&iam, &admin, &first).await.unwrap();
    assert_nobody(iam.authenticate(&token).await);
    let token = login(&iam).await;
    assert_eq!((kid(&token), published(&iam).await), (second.clone(), vec![second.clone()]));
    assert_eq!(revoke(&iam, &admin, &first).await.unwrap(), second, "it is revoked already");

    // One that waits for its time takes over early; one that waits can be revoked itself.
    let third = rotate(&iam, &admin).await;
    assert_eq!(revoke(&iam, &admin, &second).await.unwrap(), third);
    assert_nobody(iam.authenticate(&token).await);
    assert_eq!(kid(&login(&iam).await), third);
    let fourth = rotate(&iam, &admin).await;
    assert_eq!(revoke(&iam, &admin, &fourth).await.unwrap(), third);
    assert_eq!(published(&iam).await, [third]);
}

#[tokio::test]
async fn keys_are_in_the_hands_of_deployment_admins() {
    let (iam, admin) = Iam::claimed().await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    let kid = published(&iam).await.remove(0);
    for revoke in ["", "no key", &kid] {
        let operation = json!({"operation": "rotate-signing-key", "revoke": revoke});
        assert_denied(iam.operate(Some(bob.actor()), operation).await);
    }
    assert_refused(
        revoke(&iam, &admin, "no key").await,
        RefusalKind::InvalidArgument,
        "revoke must be 16 digits of 0-9a-f",
    );
    assert_refused(
        revoke(&iam, &admin, "0123456789abcdef").await,
        RefusalKind::NotFound,
        "signing key not found",
    );
    assert_eq!(published(&iam).await, [kid]);
}

#[tokio::test]
async fn a_revoked_key_ends_the_sessions_that_gateways_know_already() {
    let (iam, admin) = Iam::claimed().await;
    iam.user(&admin, "default", "ann", &["admin"]).await.unwrap();
    let token = login(&iam).await;
    let ann = iam.authenticate(&token).await.unwrap().actor;
    let make = |id: &str| json!({"operation": "create-workspace", "workspace_record": {"id": id}});
    assert!(iam.operate(Some(&ann), make("one")).await.is_ok());
    rotate(&iam, &admin).await;
    assert!(iam.operate(Some(&ann), make("two")).await.is_ok(), "a rotation ends nothing");
    revoke(&iam, &admin, &kid(&token)).await.unwrap();
    assert_nobody(iam.operate(Some(&ann), make("three")).await);
    let check = Check { capability: Capability::Llm, resource: Resource::Deployment };
    assert_nobody(iam.judge(&ann, check).await);
}
