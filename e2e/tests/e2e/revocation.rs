//! What IAM takes away is gone from live sockets with the answer to whoever took it, and what it
//! gives is there.

use anyhow::Context;
use serde_json::{Value, json};
use tollgate_e2e::raw::Socket;
use tollgate_e2e::{PASSWORD, Tollgate};

/// Somebody on a socket that stays open.
struct Member {
    id: String,
    key_id: String,
    socket: Socket,
}

/// A reader of a workspace of its own; with a key, or logged in.
async fn member(tollgate: &Tollgate, name: &str, logs_in: bool) -> anyhow::Result<Member> {
    let workspace = format!("of-{name}");
    let record = json!({ "id": workspace });
    tollgate.iam(json!({ "operation": "create-workspace", "workspace_record": record })).await?;
    let user = json!({ "username": name, "password": PASSWORD, "roles": ["reader"] });
    let user = json!({ "operation": "create-user", "workspace": workspace, "user": user });
    let id = text(&tollgate.iam(user).await?["user"]["id"])?;
    let key = json!({ "operation": "create-api-key", "key": { "user_id": id, "name": "e2e" } });
    let made = tollgate.iam(key).await?;
    let token = if logs_in {
        let login = json!({ "username": name, "password": PASSWORD });
        text(&tollgate.post("/api/v1/auth/login", None, &login).await?.1["jwt"])?
    } else {
        text(&made["api_key_plaintext"])?
    };
    let socket = Socket::authenticated(tollgate.address, &token).await?;
    Ok(Member { id, key_id: text(&made["api_key"]["id"])?, socket })
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}

impl Member {
    /// Whether a call is allowed.
    async fn may(&mut self) -> anyhow::Result<bool> {
        self.socket.call(json!(1), json!({ "prompt": "hello" })).await?;
        let answer = self.socket.frame().await?;
        match answer["error"]["type"].as_str() {
            None => Ok(true),
            Some("access-denied") => Ok(false),
            Some(_) => anyhow::bail!("{answer}"),
        }
    }

    /// How its socket is closed, without a word of its own, and what is said before.
    async fn is_told(&mut self, code: u16) -> anyhow::Result<()> {
        let (scope, reason, reconnect) = match code {
            4451 => ("workspace", "workspace-disabled", "never"),
            _ => ("credential", "revoked", "reauth"),
        };
        let (frames, closed) = self.socket.close().await?;
        assert_eq!(closed, code);
        assert_eq!(
            frames,
            [
                json!({ "type": "auth-revoked", "scope": scope, "reconnect": reconnect }),
                json!({ "type": "closing", "code": code, "reason": reason, "reconnect": reconnect }),
            ]
        );
        Ok(())
    }
}

/// An operation that takes something away from a member.
type Taking = fn(&Member) -> Value;

fn about(operation: &str, member: &Member) -> Value {
    json!({ "operation": operation, "user_id": member.id })
}

#[tokio::test]
async fn whatever_is_taken_away_ends_with_the_answer() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let kinds: [(&str, bool, Taking); 6] = [
        ("key", false, |member| json!({"operation": "revoke-api-key", "key_id": member.key_id})),
        ("disabled", false, |member| about("disable-user", member)),
        ("deleted", false, |member| about("delete-user", member)),
        ("role", false, |member| {
            let mut taking = about("remove-user-grant", member);
            taking["grant"] = json!({ "role": "reader", "workspace": "of-role" });
            taking
        }),
        (
            "workspace",
            false,
            |_| json!({"operation": "disable-workspace", "workspace_record": {"id": "of-workspace"}}),
        ),
        ("password", true, |member| about("reset-password", member)),
    ];
    for (kind, logs_in, operation) in kinds {
        let mut member = member(&tollgate, kind, logs_in).await?;
        // Twice: the second one is decided by what was kept.
        assert!(member.may().await? && member.may().await?, "{kind}");
        tollgate.iam(operation(&member)).await.context(kind)?;
        let code = if kind == "workspace" { 4451 } else { 4403 };
        member.is_told(code).await.context(kind)?;
    }
    Ok(())
}

#[tokio::test]
async fn whatever_is_given_is_there_with_the_answer() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut member = member(&tollgate, "ann", false).await?;
    let id = member.id.clone();
    let change = async |operation: &str, workspace: &str| {
        let mut change = json!({ "operation": operation, "user_id": id });
        change["grant"] = json!({ "role": "reader", "workspace": workspace });
        tollgate.iam(change).await
    };
    // A user without a place anywhere is nobody.
    change("add-user-grant", "default").await?;
    for _ in 0..3 {
        change("remove-user-grant", "of-ann").await?;
        assert!(!member.may().await? && !member.may().await?);
        change("add-user-grant", "of-ann").await?;
        assert!(member.may().await?);
    }
    Ok(())
}

#[tokio::test]
async fn whoever_waits_is_told_who_has_heard() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut member = member(&tollgate, "ann", false).await?;
    let mut disable = about("disable-user", &member);
    disable["dry_run"] = json!(true);
    let rehearsal = tollgate.iam(disable.clone()).await?;
    let change = json!({ "event": "user.disable", "id": member.id, "user_id": member.id });
    assert_eq!(rehearsal["dry_run"]["changes"], json!([change]));
    assert!(member.may().await?, "it was not done");

    disable["dry_run"] = json!(false);
    assert_eq!(
        tollgate.iam(disable.clone()).await?,
        json!({ "bootstrap_available": false }),
        "whoever says nothing sees what was always there"
    );
    member.is_told(4403).await?;
    // Over a socket too; of what is so already, all have heard.
    disable["wait"] = json!(true);
    let mut admin = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    admin.send(&json!({ "id": 1, "service": "iam", "request": disable })).await?;
    let receipt = &admin.frame().await?["response"]["receipt"];
    assert_eq!((&receipt["gateways_marked"], &receipt["gateways_silent"]), (&json!(1), &json!(0)));
    disable["dry_run"] = json!(true);
    admin.send(&json!({ "id": 2, "service": "iam", "request": disable })).await?;
    assert_eq!(admin.frame().await?["error"]["type"], "invalid-request");
    Ok(())
}
