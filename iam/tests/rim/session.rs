//! Login, whoami, own workspaces, change of password.

use std::time::Duration;

use serde_json::json;
use tollgate_proto::iam::RefusalKind;

use super::harness::{
    Iam, NEW_PASSWORD, PASSWORD, Person, assert_denied, assert_nobody, assert_refused,
};

fn change(current: &str, new: &str) -> serde_json::Value {
    json!({"operation": "change-password", "password": current, "new_password": new})
}

#[tokio::test]
async fn every_login_that_fails_fails_alike() {
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let disabled = json!({"operation": "create-user", "workspace": "acme",
        "user": {"username": "bob", "password": PASSWORD, "enabled": false}});
    iam.operate(Some(admin.actor()), disabled).await.unwrap();

    let login = iam.login("ann", PASSWORD).await.unwrap();
    assert_eq!(login.jwt_expires.as_deref(), Some("2027-01-15T09:00:00+00:00"));
    assert_nobody(iam.login("ann", "wrong").await);
    assert_nobody(iam.login("ann", &"x".repeat(2_000)).await);
    assert_nobody(iam.login("nobody", PASSWORD).await);
    assert_nobody(iam.login("not a name", PASSWORD).await);
    assert_nobody(iam.login("bob", PASSWORD).await);
    assert_nobody(iam.login("admin", "").await);
    assert_nobody(iam.login("", PASSWORD).await);
    let at = |workspace: &str| {
        json!({"operation": "login", "username": "ann", "password": PASSWORD,
            "workspace": workspace})
    };
    assert!(iam.operate(None, at("acme")).await.is_ok());
    for workspace in ["default", "nowhere", "../acme", "ACME"] {
        assert_nobody(iam.operate(None, at(workspace)).await);
    }
}

#[tokio::test]
async fn a_session_may_be_opened_wherever_there_is_a_right() {
    let (iam, admin) = Iam::claimed().await;
    iam.workspace(&admin, "acme").await;
    iam.user(&admin, "default", "root2", &["admin"]).await.unwrap();
    let login = json!({"operation": "login", "username": "root2", "password": PASSWORD,
        "workspace": "acme"});
    let jwt = iam.operate(None, login).await.unwrap().jwt.unwrap().expose().to_owned();
    assert_eq!(iam.person(jwt).await.identity.default_workspace.as_str(), "acme");
}

#[tokio::test]
async fn guessing_is_slowed_down_for_known_and_unknown_accounts_alike() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    for name in ["ann", "nobody"] {
        for _ in 0..5 {
            assert_nobody(iam.login(name, "wrong").await);
        }
        let refusal = iam.login(name, PASSWORD).await.unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::TooManyRequests);
        assert_eq!(refusal.retry_after_ms, Some(1_000));
    }
    assert_refused(
        iam.operate(Some(ann.actor()), change(PASSWORD, NEW_PASSWORD)).await,
        RefusalKind::TooManyRequests,
        "too many requests",
    );
    assert!(iam.authenticate(&ann.key).await.is_ok(), "a key is never slowed down");
    iam.clock.advance(Duration::from_secs(1));
    assert!(iam.login("ann", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_storm_of_logins_holds_nobody_else_up() {
    let (iam, admin) = Iam::claimed().await;
    let iam = std::sync::Arc::new(iam);
    let mut logins = tokio::task::JoinSet::new();
    for n in 0..50 {
        let iam = std::sync::Arc::clone(&iam);
        logins.spawn(async move { iam.login(&format!("user{n}"), PASSWORD).await });
    }
    // The pool is full as soon as one is turned away; what needs no hash goes on.
    loop {
        let kind = logins.join_next().await.unwrap().unwrap().unwrap_err().kind;
        match kind {
            RefusalKind::TooManyRequests => break,
            kind => assert_eq!(kind, RefusalKind::AuthFailed),
        }
    }
    assert!(iam.authenticate(&admin.key).await.is_ok());
    assert!(!logins.is_empty(), "the storm is still on");
}

#[tokio::test]
async fn a_password_of_fewer_rounds_is_hashed_again_at_login() {
    let (iam, admin) = Iam::claimed().await;
    let before = iam.member(&admin, "acme", "ann", "reader").await;
    let folder = iam.stop().await;
    let iam = Iam::with(folder, &[("iam.password.rounds", "150000")]).await;
    let seq =
        async || iam.ask(json!({"authenticate": {"credential": before.key}})).await.mark.seq.0;
    let first = seq().await;
    assert_nobody(iam.login("ann", "wrong").await);
    let session = iam.session("ann", PASSWORD).await;
    let rehashed = async {
        while seq().await == first {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), rehashed)
        .await
        .expect("it is never hashed again");
    assert_eq!(session.actor().auth_epoch, 1);
    assert!(iam.authenticate(&session.key).await.is_ok(), "nothing ended");

    // The password is the same, and now it is kept as it should be: nothing more is written.
    assert!(iam.login("ann", PASSWORD).await.is_ok());
    let iam = Iam::with(iam.stop().await, &[("iam.password.rounds", "150000")]).await;
    let mark = iam.ask(json!({"authenticate": {"credential": before.key}})).await.mark;
    assert_eq!(mark.seq.0, first + 1);
}

#[tokio::test]
async fn whoami_tells_the_live_and_nobody_else() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "Ann", "writer").await;
    let whoami = json!({"operation": "whoami"});
    let user = iam.operate(Some(ann.actor()), whoami.clone()).await.unwrap().user.unwrap();
    assert_eq!((&*user.id, &*user.username, &*user.name), (&*ann.id(), "Ann", "Ann"));
    assert_eq!((&*user.default_workspace, &*user.workspace), ("acme", "acme"));
    assert_eq!(user.roles, ["writer"]);
    assert!(user.enabled && !user.must_change_password);
    assert_nobody(iam.operate(None, whoami).await);
}

#[tokio::test]
async fn own_workspaces_are_those_with_a_right() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let list = json!({"operation": "list-my-workspaces"});
    let ids = async |person: &Person| {
        let reply = iam.operate(Some(person.actor()), list.clone()).await.unwrap();
        reply.workspaces.into_iter().map(|workspace| workspace.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&ann).await, ["acme"]);
    assert_eq!(ids(&admin).await, ["acme", "default"]);
    assert_nobody(iam.operate(None, list.clone()).await);
}

#[tokio::test]
async fn a_changed_password_ends_sessions_and_keeps_keys() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let session = iam.session("ann", PASSWORD).await;
    assert_nobody(iam.operate(Some(session.actor()), change("wrong", NEW_PASSWORD)).await);
    iam.operate(Some(session.actor()), change(PASSWORD, NEW_PASSWORD)).await.unwrap();

    assert_nobody(iam.authenticate(&session.key).await);
    assert_nobody(iam.operate(Some(session.actor()), json!({"operation": "whoami"})).await);
    let ann = iam.person(ann.key).await;
    assert_eq!(ann.actor().auth_epoch, 2);
    assert_nobody(iam.login("ann", PASSWORD).await);
    assert!(iam.login("ann", NEW_PASSWORD).await.is_ok());

    let mut and_keys = change(NEW_PASSWORD, "a third that is long enough");
    and_keys["revoke_keys"] = json!(true);
    iam.operate(Some(ann.actor()), and_keys).await.unwrap();
    assert_nobody(iam.authenticate(&ann.key).await);
}

#[tokio::test]
async fn a_password_is_changed_by_its_owner_and_to_a_good_one() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let mut others = change(PASSWORD, NEW_PASSWORD);
    others["user_id"] = json!(ann.id());
    assert_denied(iam.operate(Some(admin.actor()), others.clone()).await);
    let refused = async |operation, kind, message: &str| {
        assert_refused(iam.operate(Some(ann.actor()), operation).await, kind, message);
    };
    let invalid = RefusalKind::InvalidArgument;
    refused(change("", NEW_PASSWORD), invalid, "password (current) required").await;
    refused(change(PASSWORD, ""), invalid, "new_password required").await;
    let weak = RefusalKind::WeakPassword;
    refused(change(PASSWORD, "short"), weak, "the password must have at least 15 bytes").await;
    refused(change(PASSWORD, PASSWORD), weak, "the new password must be another one").await;
    assert!(iam.operate(Some(ann.actor()), others).await.is_ok(), "her own id is fine");
}

#[tokio::test]
async fn a_session_with_a_temporary_password_may_only_change_it() {
    let (iam, admin) = Iam::claimed().await;
    iam.workspace(&admin, "acme").await;
    let user = json!({"username": "ann", "password": PASSWORD, "roles": ["admin"],
        "must_change_password": true});
    let create = json!({"operation": "create-user", "workspace": "acme", "user": user});
    iam.operate(Some(admin.actor()), create).await.unwrap();
    let bound = iam.session("ann", PASSWORD).await;
    assert!(iam.operate(Some(bound.actor()), json!({"operation": "whoami"})).await.is_ok());
    for operation in ["list-my-workspaces", "list-users", "list-workspaces"] {
        assert_denied(iam.operate(Some(bound.actor()), json!({"operation": operation})).await);
    }
    iam.operate(Some(bound.actor()), change(PASSWORD, NEW_PASSWORD)).await.unwrap();
    let free = iam.session("ann", NEW_PASSWORD).await;
    assert!(iam.operate(Some(free.actor()), json!({"operation": "list-users"})).await.is_ok());
}

#[tokio::test]
async fn tokens_are_verified_with_the_published_key() {
    use base64::Engine;
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let jwt = iam.login("ann", PASSWORD).await.unwrap().jwt.unwrap().expose().to_owned();
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: iam\r\n\r\n";
    let (head, body) = iam.http(request).await;
    assert!(head.contains("cache-control: public, max-age=5"), "{head}");
    let keys: serde_json::Value = serde_json::from_str(&body).unwrap();
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    let raw = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let public = ed25519_dalek::VerifyingKey::from_bytes(&raw.try_into().unwrap()).unwrap();
    let answer = iam.ask(json!({"authenticate": {"credential": jwt}})).await;
    let expect = tollgate_proto::jwt::Expect {
        issuer: "tollgate-iam",
        audience: answer.mark.journal,
        now: super::harness::NOW_MS / 1_000,
        max_life: 86_400,
    };
    let by_kid =
        |name: tollgate_proto::jwt::KeyName| (key["kid"] == name.to_string()).then_some(public);
    let verified = tollgate_proto::jwt::verify(&jwt, by_kid, expect).unwrap();
    assert_eq!(verified.claims.ae, 1);
}

#[tokio::test]
async fn sessions_live_for_an_hour() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let session = iam.session("ann", PASSWORD).await;
    iam.clock.advance(Duration::from_secs(3_599));
    assert!(iam.authenticate(&session.key).await.is_ok());
    iam.clock.advance(Duration::from_secs(6));
    assert_nobody(iam.authenticate(&session.key).await);
    assert!(iam.authenticate(&ann.key).await.is_ok());
}

#[tokio::test]
async fn a_logout_ends_that_session_and_nothing_else() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let (one, two) = (iam.session("ann", PASSWORD).await, iam.session("ann", PASSWORD).await);
    let logout = json!({"operation": "logout"});
    iam.by(&one, logout.clone()).await.unwrap();
    assert_nobody(iam.authenticate(&one.key).await);
    assert_nobody(iam.by(&one, json!({"operation": "whoami"})).await);
    assert!(iam.authenticate(&two.key).await.is_ok());
    assert_refused(
        iam.by(&ann, logout.clone()).await,
        RefusalKind::InvalidArgument,
        "an API key is no session; use revoke-api-key",
    );
    assert_nobody(iam.operate(None, logout).await);
}
