//! HTTP callers.

use serde_json::{Value, json};
use tollgate_e2e::{PASSWORD, Tollgate, raw};

#[tokio::test]
async fn a_fresh_deployment_is_claimed_once() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (status, reply) = tollgate.post("/api/v1/auth/bootstrap-status", None, &json!({})).await?;
    assert_eq!((status, reply), (200, json!({ "bootstrap_available": false })));
    let refused = tollgate.post("/api/v1/auth/bootstrap", None, &json!({})).await?;
    assert_eq!(refused, (401, json!({ "error": "auth failure" })));
    Ok(())
}

#[tokio::test]
async fn a_workspace_that_is_no_name_is_not_taken_for_none() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let ask = async |token: Option<&str>, workspace: Value| {
        let body = json!({ "workspace": workspace, "prompt": "hello" });
        let (status, _) =
            tollgate.post("/api/v1/flow/default/service/prompt", token, &body).await?;
        anyhow::Ok(status)
    };
    let admin = Some(tollgate.admin_key.as_str());
    for workspace in [json!("default"), json!(""), json!(null)] {
        assert_eq!(ask(admin, workspace).await?, 200);
    }
    for workspace in [json!(["default"]), json!({}), json!(7), json!(false)] {
        assert_eq!(ask(admin, workspace.clone()).await?, 400);
        assert_eq!(ask(None, workspace).await?, 401);
    }
    Ok(())
}

#[tokio::test]
async fn logins_that_fail_look_alike() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    tollgate.user("ann", "reader").await?;
    for body in [
        json!({ "username": "ann", "password": "wrong password, long" }),
        json!({ "username": "nobody", "password": PASSWORD }),
        json!({ "username": "ann" }),
        json!({ "username": "ann", "password": PASSWORD, "workspace": "ghost" }),
        json!({}),
    ] {
        let answer = tollgate.post("/api/v1/auth/login", None, &body).await?;
        assert_eq!(answer, (401, json!({ "error": "auth failure" })), "{body}");
    }
    let bad = raw::post(tollgate.address, "/api/v1/auth/login", None, b"{").await?;
    assert_eq!(bad, (400, json!({ "error": "invalid json" })));
    Ok(())
}

#[tokio::test]
async fn iam_over_http_answers_as_its_clients_expect() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (_, reader) = tollgate.user("ann", "reader").await?;
    let post = async |token: Option<&str>, body: &str| {
        raw::post(tollgate.address, "/api/v1/iam", token, body.as_bytes()).await
    };
    let admin = Some(tollgate.admin_key.as_str());
    let error = |text: &str| json!({ "error": text });
    let who = r#"{"operation":"whoami"}"#;
    assert_eq!(post(admin, "{").await?, (400, error("invalid json")));
    assert_eq!(post(admin, "[]").await?, (400, error("body must be an object")));
    assert_eq!(post(admin, "{}").await?, (400, error("missing operation")));
    assert_eq!(
        post(admin, r#"{"operation":"authorise"}"#).await?,
        (400, error("unknown operation"))
    );
    assert_eq!(post(None, who).await?, (401, error("auth failure")));
    assert_eq!(post(Some("tg_no"), who).await?, (401, error("auth failure")));
    let list = r#"{"operation":"list-users"}"#;
    assert_eq!(post(Some(&reader), list).await?, (403, error("access denied")));
    let (status, reply) = post(admin, who).await?;
    assert_eq!((status, &reply["user"]["username"]), (200, &json!("admin")));
    assert_eq!(reply["bootstrap_available"], false);
    let (status, reply) = post(admin, r#"{"operation":"create-api-key","key":{}}"#).await?;
    assert_eq!((status, &reply["error"]["type"]), (200, &json!("invalid-argument")));
    let (status, reply) = post(admin, r#"{"operation":"create-group"}"#).await?;
    assert_eq!((status, &reply["error"]["type"]), (200, &json!("not-supported")));
    Ok(())
}

#[tokio::test]
async fn a_body_far_beyond_its_limit_is_answered_413_to_who_sends_all_of_it_first()
-> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let token = Some(tollgate.admin_key.as_str());
    let too_large = (413, json!({ "error": "beyond the size limit" }));
    let body = vec![b' '; 9 << 20];
    for path in ["/api/v1/iam", "/api/v1/config", "/api/v1/auth/login"] {
        // All of it is written before anything is read.
        assert_eq!(raw::post(tollgate.address, path, token, &body).await?, too_large, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn services_over_http_take_the_same_road() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (_, reader) = tollgate.user("ann", "reader").await?;
    tollgate
        .iam(json!({ "operation": "create-workspace", "workspace_record": { "id": "other" } }))
        .await?;
    let path = "/api/v1/flow/default/service/text-completion";
    let post = async |path: &str, body: Value| tollgate.post(path, Some(&reader), &body).await;
    let (status, reply) = post(path, json!({ "prompt": "hello" })).await?;
    assert_eq!((status, &reply["response"]), (200, &json!("hello")));
    assert_eq!(reply["echo"]["workspace"], "default");
    let denied = (403, json!({ "error": "access denied" }));
    for foreign in ["other", "ghost"] {
        assert_eq!(post(path, json!({ "prompt": "x", "workspace": foreign })).await?, denied);
    }
    let streamed = post(path, json!({ "prompt": "a b c", "streaming": true })).await?.1;
    assert_eq!(streamed["response"], "c", "the last part of a stream");
    let unknown = post("/api/v1/flow/default/service/nope", json!({})).await?;
    assert_eq!(unknown, (404, json!({ "error": "unknown kind" })));
    let unknown = post("/api/v1/config", json!({ "operation": "nope" })).await?;
    assert_eq!(unknown, (400, json!({ "error": "unknown operation" })));
    assert_eq!(post("/api/v1/config", json!({ "operation": "put" })).await?, denied);
    assert_eq!(tollgate.post(path, None, &json!({})).await?.0, 401);
    Ok(())
}
