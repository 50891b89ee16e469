//! `/api/v1/auth/…` and the examples, in the order in which somebody would send them.

use serde_json::{Value, json};
use tollgate_e2e::{PASSWORD, Tollgate};

use super::document::members;
use super::visitor::{As, IAM, Visitor};

const BOOTSTRAP: &str = "/api/v1/auth/bootstrap";
const STATUS: &str = "/api/v1/auth/bootstrap-status";
const LOGIN: &str = "/api/v1/auth/login";
const CHANGE: &str = "/api/v1/auth/change-password";
const FLOW: &str = "POST /api/v1/flow/{flow}/service/{kind}";

pub(super) async fn drive(visitor: &mut Visitor) -> anyhow::Result<()> {
    let tollgate = Tollgate::start_unclaimed(&[]).await?;
    let nobody = As(tollgate.address, None);
    visitor.post_for(nobody, STATUS, json!({}), 200).await?;
    let claimed = visitor.post_for(nobody, BOOTSTRAP, json!({}), 200).await?;
    visitor.post_for(nobody, BOOTSTRAP, json!({}), 401).await?;
    let admin = As(tollgate.address, claimed["bootstrap_admin_api_key"].as_str());
    let session = send_examples(visitor, admin).await?;
    let ann = As(tollgate.address, session["jwt"].as_str());
    visitor.post_for(ann, STATUS, json!({}), 200).await?;
    logins(visitor, nobody).await?;
    changes(visitor, &tollgate, admin).await
}

/// The examples of requests work as they stand, and those of answers are what may come.
async fn send_examples(visitor: &mut Visitor, admin: As<'_>) -> anyhow::Result<Value> {
    let example = |visitor: &Visitor, route: &str| {
        let body = &visitor.document.operation(route)["requestBody"]["content"]["application/json"];
        body.clone()
    };
    // The order of the document is that of its keys here: a workspace comes before its user.
    let examples = example(visitor, IAM)["examples"].clone();
    for name in ["create-workspace", "create-user", "list-users", "whoami"] {
        visitor.done(admin, examples[name]["value"].clone()).await?;
    }
    for (_, example) in members(&examples) {
        visitor.document.check_request(IAM, &example["value"])?;
    }
    let nobody = As(admin.0, None);
    let login = example(visitor, "POST /api/v1/auth/login")["example"].clone();
    let session = visitor.post_for(nobody, LOGIN, login, 200).await?;
    let ann = As(admin.0, session["jwt"].as_str());
    let hello = example(visitor, FLOW)["example"].clone();
    let path = "/api/v1/flow/default/service/text-completion";
    let answered = visitor.post(ann, (FLOW, path), &hello).await?;
    let documented = &visitor.document.operation(FLOW)["responses"]["200"]["content"];
    assert_eq!(answered, (200, documented["application/json"]["example"].clone()));
    let change = example(visitor, "POST /api/v1/auth/change-password")["example"].clone();
    visitor.post_for(ann, CHANGE, change, 200).await?;
    for (route, status) in visitor.document.routes() {
        let response = &visitor.document.operation(&route)["responses"][status.to_string()];
        let media = &visitor.document.resolve(response)["content"]["application/json"];
        let examples = members(&media["examples"]).map(|(_, example)| &example["value"]);
        for example in examples.chain(media.get("example")) {
            visitor.document.check(&media["schema"], example)?;
        }
    }
    Ok(session)
}

async fn logins(visitor: &mut Visitor, nobody: As<'_>) -> anyhow::Result<()> {
    let route = ("POST /api/v1/auth/login", LOGIN);
    for bad in ["{", "[]", r#"{"username":7}"#, r#"{"username":"a","username":"b"}"#] {
        assert_eq!(visitor.send(nobody.0, route, &[], bad.as_bytes()).await?.status, 400, "{bad}");
    }
    let long = format!(r#"{{"username":"{}"}}"#, "x".repeat(4 << 10));
    assert_eq!(visitor.send(nobody.0, route, &[], long.as_bytes()).await?.status, 413);
    let packed = [("Content-Encoding", "gzip".to_owned())];
    assert_eq!(visitor.send(nobody.0, route, &packed, b"{}").await?.status, 415);
    let wrong = json!({ "username": "nobody", "password": PASSWORD });
    for _ in 0..5 {
        visitor.post_for(nobody, LOGIN, wrong.clone(), 401).await?;
    }
    visitor.post_for(nobody, LOGIN, wrong, 429).await?;
    let mut login = json!({ "operation": "login", "username": "nobody", "password": PASSWORD });
    visitor.refused(nobody, login.clone(), 429).await?;
    login["username"] = json!("else");
    visitor.refused(nobody, login, "auth-failed").await
}

async fn changes(visitor: &mut Visitor, tollgate: &Tollgate, admin: As<'_>) -> anyhow::Result<()> {
    let bob = json!({ "username": "bob", "password": PASSWORD });
    let made = json!({ "operation": "create-user", "workspace": "default", "user": bob });
    visitor.done(admin, made).await?;
    let session = visitor.post_for(As(tollgate.address, None), LOGIN, bob, 200).await?;
    let token = session["jwt"].as_str().unwrap_or_default();
    let (bob, nobody) = (As(tollgate.address, Some(token)), As(tollgate.address, None));
    let new = "thirteen red kettles dance";
    let change = |current: &str| json!({ "current_password": current, "new_password": new });
    visitor.post_for(nobody, CHANGE, change(PASSWORD), 401).await?;
    visitor.post_for(bob, CHANGE, json!({ "new_password": new }), 400).await?;
    visitor.post_for(bob, CHANGE, json!({ "current_password": PASSWORD }), 400).await?;
    let weak = json!({ "current_password": PASSWORD, "new_password": "short" });
    visitor.post_for(bob, CHANGE, weak, 400).await?;
    let route = ("POST /api/v1/auth/change-password", CHANGE);
    let bearer = ("Authorization", format!("Bearer {token}"));
    let headers = [bearer.clone(), ("Content-Encoding", "gzip".to_owned())];
    assert_eq!(visitor.send(bob.0, route, &headers, b"{}").await?.status, 415);
    let long = format!(r#"{{"new_password":"{}"}}"#, "x".repeat(64 << 10));
    assert_eq!(visitor.send(bob.0, route, &[bearer], long.as_bytes()).await?.status, 413);
    for _ in 0..5 {
        visitor.post_for(bob, CHANGE, change("another wrong password"), 401).await?;
    }
    visitor.post_for(bob, CHANGE, change(PASSWORD), 429).await?;
    Ok(())
}
