//! `/api/v1/iam`: every operation, done and refused.

use anyhow::Context;
use serde_json::{Value, json};
use tollgate_e2e::raw::Socket;
use tollgate_e2e::{PASSWORD, Tollgate};
use tollgate_proto::iam::known_operations;

use super::visitor::{As, IAM, Visitor};

/// Nobody's id.
const GHOST: &str = "0198c2f0-5b1e-7cc0-b8a5-0d4d3f1f0a02";
const NEW_PASSWORD: &str = "twelve blue kettles hum";

pub(super) async fn drive(visitor: &mut Visitor) -> anyhow::Result<()> {
    claim(visitor).await?;
    let tollgate = Tollgate::start().await?;
    let admin = As(tollgate.address, Some(&tollgate.admin_key));
    strangers(visitor, tollgate.address).await?;
    workspaces(visitor, admin).await?;
    users(visitor, admin).await?;
    keys(visitor, admin).await?;
    sessions(visitor, admin).await?;
    grants(visitor, admin).await?;
    minted(visitor, admin).await?;
    sockets(visitor, admin).await?;
    authority(visitor, admin).await?;
    signing(visitor, admin).await?;
    for name in known_operations() {
        if visitor.document.iam_operation(name).get("x-reply").is_none() {
            let body = json!({ "operation": name });
            visitor.document.check_request(IAM, &body)?;
            visitor.refused(admin, body, "not-supported").await?;
        }
    }
    Ok(())
}

async fn claim(v: &mut Visitor) -> anyhow::Result<()> {
    let tollgate = Tollgate::start_unclaimed(&[]).await?;
    let nobody = As(tollgate.address, None);
    v.done(nobody, json!({ "operation": "bootstrap-status" })).await?;
    v.done(nobody, json!({ "operation": "bootstrap" })).await?;
    v.refused(nobody, json!({ "operation": "bootstrap" }), "auth-failed").await
}

/// Whatever is not public is refused to nobody, and to a credential that is none.
async fn strangers(v: &mut Visitor, address: std::net::SocketAddr) -> anyhow::Result<()> {
    for name in known_operations() {
        if !["bootstrap", "bootstrap-status", "login"].contains(name) {
            v.refused(As(address, None), json!({ "operation": name }), 401).await?;
            v.refused(As(address, Some("tg_no")), json!({ "operation": name }), 401).await?;
        }
    }
    let route = (IAM, "/api/v1/iam");
    for bad in ["{", "[]", "{}", r#"{"operation":7}"#, r#"{"operation":"authorise"}"#] {
        assert_eq!(v.send(address, route, &[], bad.as_bytes()).await?.status, 400, "{bad}");
    }
    Ok(())
}

async fn workspaces(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let on = |operation: &str, record: Value| {
        let bare = json!({ "operation": operation });
        with(&bare, json!({ "workspace_record": record }))
    };
    for id in ["acme", "empty", "acme"] {
        v.done(admin, on("create-workspace", json!({ "id": id, "name": "Acme" }))).await?;
    }
    v.refused(admin, on("create-workspace", json!({ "id": "ACME" })), "duplicate").await?;
    let bad = on("create-workspace", json!({ "id": "_x" }));
    assert!(v.document.check_request(IAM, &bad).is_err());
    v.refused(admin, bad, "invalid-argument").await?;
    v.done(admin, json!({ "operation": "list-workspaces" })).await?;
    v.done(admin, on("get-workspace", json!({ "id": "acme" }))).await?;
    v.done(admin, on("update-workspace", json!({ "id": "acme", "name": "A", "enabled": true })))
        .await?;
    for operation in ["get-workspace", "update-workspace", "disable-workspace"] {
        v.refused(admin, on(operation, json!({ "id": "ghost" })), "not-found").await?;
    }
    Ok(())
}

async fn users(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let create = |home: &str, user: Value| {
        let bare = json!({ "operation": "create-user", "workspace": home });
        with(&bare, json!({ "user": user }))
    };
    let whole = json!({
        "username": "Ann", "password": PASSWORD, "name": "Ann", "email": "ann@example.com",
        "roles": ["writer", "reader"], "enabled": true, "must_change_password": false,
    });
    let ann = v.done(admin, create("acme", whole.clone())).await?["user"]["id"].take();
    v.refused(admin, create("acme", whole.clone()), "duplicate").await?;
    v.refused(
        admin,
        create("ghost", json!({ "username": "x", "password": PASSWORD })),
        "not-found",
    )
    .await?;
    v.refused(
        admin,
        create("acme", json!({ "username": "x", "password": "short" })),
        "weak-password",
    )
    .await?;
    v.done(admin, json!({ "operation": "list-users" })).await?;
    let none = v.done(admin, json!({ "operation": "list-users", "workspace": "empty" })).await?;
    assert_eq!(none, json!({ "bootstrap_available": false }));
    v.done(admin, json!({ "operation": "get-user", "user_id": ann })).await?;
    v.done(admin, json!({ "operation": "get-user", "user_id": ann, "workspace": "acme" })).await?;
    let elsewhere = json!({ "operation": "get-user", "user_id": ann, "workspace": "empty" });
    v.refused(admin, elsewhere, "operation-not-permitted").await?;
    v.refused(admin, json!({ "operation": "get-user", "user_id": GHOST }), "not-found").await?;
    let on_ann = json!({ "operation": "update-user", "user_id": ann, "workspace": "acme" });
    let update = |user: Value| with(&on_ann, json!({ "user": user }));
    let whole = json!({
        "username": "Ann", "name": "Anna", "email": "", "roles": ["writer"], "enabled": true,
        "must_change_password": false,
    });
    v.done(admin, update(whole)).await?;
    v.done(admin, update(json!({}))).await?;
    let bad = update(json!({ "password": PASSWORD }));
    assert!(v.document.check_request(IAM, &bad).is_err());
    v.refused(admin, bad, "invalid-argument").await
}

/// The id of the user of that name.
async fn id_of(v: &mut Visitor, admin: As<'_>, name: &str) -> anyhow::Result<Value> {
    let users = v.done(admin, json!({ "operation": "list-users" })).await?;
    let all = users["users"].as_array().into_iter().flatten();
    let found = all.clone().find(|user| user["username"] == name);
    Ok(found.map(|user| user["id"].clone()).unwrap_or_default())
}

async fn keys(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let ann = id_of(v, admin, "Ann").await?;
    let list = json!({ "operation": "list-api-keys", "user_id": ann, "workspace": "acme" });
    assert!(v.done(admin, list.clone()).await?.get("api_keys").is_none());
    let create =
        |key: Value| json!({ "operation": "create-api-key", "workspace": "acme", "key": key });
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let key = json!({ "user_id": ann, "name": "e2e", "expires": expires.to_string() });
    let made = v.done(admin, create(key)).await?;
    v.done(admin, create(json!({ "user_id": ann, "name": "for ever" }))).await?;
    let never = json!({ "user_id": ann, "name": "e2e", "expires": "never" });
    assert!(v.document.check_request(IAM, &create(never.clone())).is_err());
    v.refused(admin, create(never), "invalid-argument").await?;

    let key = made["api_key_plaintext"].as_str();
    let caller = As(admin.0, key);
    v.done(caller, json!({ "operation": "whoami" })).await?;
    v.done(caller, list.clone()).await?;
    // Masked alike, whether the user is there or not.
    for body in [
        json!({ "operation": "list-users" }),
        json!({ "operation": "list-workspaces" }),
        json!({ "operation": "get-user", "user_id": GHOST }),
        json!({ "operation": "disable-user", "user_id": GHOST }),
    ] {
        v.refused(caller, body, 403).await?;
    }
    v.refused(caller, json!({ "operation": "logout" }), "invalid-argument").await?;
    v.done(admin, list).await?;
    let id = &made["api_key"]["id"];
    let revoke = json!({ "operation": "revoke-api-key", "key_id": id, "workspace": "acme" });
    v.done(admin, revoke.clone()).await?;
    v.refused(admin, revoke, "not-found").await?;
    let list = json!({ "operation": "list-api-keys", "user_id": GHOST });
    v.refused(admin, list, "not-found").await
}

async fn sessions(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let nobody = As(admin.0, None);
    let as_ann = json!({ "operation": "login", "username": "ann", "workspace": "acme" });
    let login = |password: &str| with(&as_ann, json!({ "password": password }));
    v.refused(nobody, login("a wrong password, long"), "auth-failed").await?;
    let session = v.done(nobody, login(PASSWORD)).await?;
    let ann = As(admin.0, session["jwt"].as_str());
    v.done(ann, json!({ "operation": "whoami" })).await?;
    v.done(ann, json!({ "operation": "list-my-workspaces" })).await?;
    let change = |user: &Value, old: &str, new: &str| {
        json!({
            "operation": "change-password", "user_id": user, "password": old, "new_password": new,
            "revoke_keys": true,
        })
    };
    let id = id_of(v, admin, "Ann").await?;
    v.refused(ann, change(&id, PASSWORD, "short"), "weak-password").await?;
    v.refused(ann, change(&id, "a wrong password, long", NEW_PASSWORD), "auth-failed").await?;
    v.refused(ann, change(&json!(GHOST), PASSWORD, NEW_PASSWORD), 403).await?;
    v.done(ann, change(&id, PASSWORD, NEW_PASSWORD)).await?;
    let session = v.done(nobody, login(NEW_PASSWORD)).await?;
    v.done(As(admin.0, session["jwt"].as_str()), json!({ "operation": "logout" })).await.map(drop)
}

async fn grants(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let ann = id_of(v, admin, "Ann").await?;
    let of_ann = json!({ "user_id": ann });
    let on = |operation: &str, grant: Value| {
        with(&of_ann, json!({ "operation": operation, "grant": grant }))
    };
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let role = json!({ "role": "reader", "workspace": "default" });
    let capability =
        json!({ "capability": "llm", "workspace": "*", "expires": expires.to_string() });
    v.done(admin, on("add-user-grant", role.clone())).await?;
    v.done(admin, on("add-user-grant", capability)).await?;
    let both = json!({ "role": "reader", "capability": "llm", "workspace": "default" });
    assert!(v.document.check_request(IAM, &on("add-user-grant", both.clone())).is_err());
    v.refused(admin, on("add-user-grant", both), "invalid-argument").await?;
    v.done(admin, json!({ "operation": "list-user-grants", "user_id": ann })).await?;
    v.done(admin, json!({ "operation": "resolve-effective-permissions", "user_id": ann })).await?;
    v.done(admin, json!({ "operation": "resolve-effective-permissions" })).await?;
    for operation in ["list-user-grants", "resolve-effective-permissions"] {
        let of = json!({ "operation": operation, "user_id": GHOST });
        v.refused(admin, of, "not-found").await?;
    }
    v.done(admin, on("remove-user-grant", role.clone())).await?;
    v.refused(admin, on("remove-user-grant", role), "not-found").await
}

async fn minted(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let ann = id_of(v, admin, "Ann").await?;
    let bare = json!({ "operation": "mint-token", "workspace": "acme" });
    let mint = |more: Value| with(&bare, more);
    let context = r#"{"tier":"gold"}"#;
    v.done(admin, mint(json!({}))).await?;
    v.done(admin, mint(json!({ "username": "ann" }))).await?;
    let session =
        v.done(admin, mint(json!({ "user_id": ann, "user_context_json": context }))).await?;
    v.done(As(admin.0, session["jwt"].as_str()), json!({ "operation": "whoami" })).await?;
    let both = mint(json!({ "user_id": ann, "username": "ann" }));
    assert!(v.document.check_request(IAM, &both).is_err());
    v.refused(admin, both, "invalid-argument").await?;
    v.refused(admin, mint(json!({ "user_id": GHOST })), "not-found").await
}

async fn sockets(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let ann = id_of(v, admin, "Ann").await?;
    let own = json!({ "operation": "list-sessions" });
    v.done(admin, own.clone()).await?;
    let _socket = Socket::authenticated(admin.0, admin.1.context("no key")?).await?;
    let own = v.done(admin, own).await?;
    assert_eq!(own["sessions"].as_array().map(Vec::len), Some(1), "{own}");
    let of = |name: &str, value: &Value| {
        with(&json!({ "operation": "list-sessions" }), json!({ name: value }))
    };
    v.done(admin, of("user_id", &ann)).await?;
    v.done(admin, of("workspace", &json!("acme"))).await?;
    v.refused(admin, of("user_id", &json!(GHOST)), "not-found").await?;
    let end = json!({ "operation": "end-session", "session_id": own["sessions"][0]["id"] });
    v.refused(admin, with(&end, json!({ "user_id": ann })), "not-found").await?;
    let whose = json!({ "user_id": own["sessions"][0]["user_id"] });
    v.done(admin, with(&end, whose)).await?;
    let kick = |user: &Value| json!({ "operation": "kick-user", "user_id": user });
    v.done(admin, kick(&ann)).await?;
    v.refused(admin, kick(&json!(GHOST)), "not-found").await?;
    let end = json!({ "operation": "end-session", "session_id": GHOST });
    v.refused(admin, end, "not-found").await
}

async fn authority(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let (ann, own) = (id_of(v, admin, "Ann").await?, id_of(v, admin, "admin").await?);
    let on = |operation: &str, user: &Value, home: &str| {
        let at_home = json!({ "user_id": user, "workspace": home });
        with(&at_home, json!({ "operation": operation }))
    };
    let reset = v.done(admin, on("reset-password", &ann, "acme")).await?;
    let login =
        json!({ "operation": "login", "username": "ann", "password": reset["temporary_password"] });
    let session = v.done(As(admin.0, None), login).await?;
    let bound = As(admin.0, session["jwt"].as_str());
    v.done(bound, json!({ "operation": "whoami" })).await?;
    v.refused(bound, json!({ "operation": "list-my-workspaces" }), 403).await?;
    for operation in ["disable-user", "enable-user"] {
        let rehearsal = with(&on(operation, &ann, "acme"), json!({ "dry_run": true }));
        v.done(admin, rehearsal).await?;
        let to_the_end = with(&on(operation, &ann, "acme"), json!({ "wait": true }));
        assert!(v.done(admin, to_the_end).await?.get("receipt").is_some());
    }
    for operation in ["reset-password", "disable-user", "enable-user", "delete-user"] {
        v.refused(admin, on(operation, &json!(GHOST), "acme"), "not-found").await?;
    }
    // The last admin cannot go.
    for operation in ["disable-user", "delete-user"] {
        v.refused(admin, on(operation, &own, "default"), "operation-not-permitted").await?;
    }
    v.done(admin, on("delete-user", &ann, "acme")).await?;
    let disable =
        json!({ "operation": "disable-workspace", "workspace_record": { "id": "empty" } });
    v.done(admin, disable).await.map(drop)
}

async fn signing(v: &mut Visitor, admin: As<'_>) -> anyhow::Result<()> {
    let rotate = json!({ "operation": "rotate-signing-key" });
    let next = v.done(admin, rotate.clone()).await?["signing_key_id"].take();
    let mut revoke = rotate;
    revoke["revoke"] = next;
    v.done(admin, revoke.clone()).await?;
    revoke["revoke"] = json!("no key");
    assert!(v.document.check_request(IAM, &revoke).is_err());
    v.refused(admin, revoke, "invalid-argument").await
}

/// A request with more fields.
fn with(body: &Value, more: Value) -> Value {
    let mut body = body.clone();
    if let (Some(fields), Value::Object(more)) = (body.as_object_mut(), more) {
        fields.extend(more);
    }
    body
}
