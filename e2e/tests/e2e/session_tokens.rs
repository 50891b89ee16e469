//! Session tokens that the gateway judges by itself: they cost IAM nothing, and end as any.

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use tollgate_e2e::raw::{self, Socket};
use tollgate_e2e::{PASSWORD, Tollgate};

async fn login(tollgate: &Tollgate, name: &str) -> anyhow::Result<String> {
    let login = json!({ "username": name, "password": PASSWORD });
    let (_, answer) = tollgate.post("/api/v1/auth/login", None, &login).await?;
    Ok(answer["jwt"].as_str().with_context(|| answer.to_string())?.to_owned())
}

/// How often IAM was asked whose a credential is.
async fn asked(tollgate: &Tollgate) -> anyhow::Result<f64> {
    let metrics = raw::http(tollgate.admin_address, "GET", "/metrics", &[], b"").await?.body;
    let of_credentials = r#"tollgate_gateway_iam_questions_total{question="authenticate""#;
    let counts = metrics.lines().filter(|line| line.starts_with(of_credentials));
    counts.map(|line| Ok(line.rsplit_once(' ').context("no value")?.1.parse::<f64>()?)).sum()
}

async fn is_taken(tollgate: &Tollgate, token: &str) -> anyhow::Result<bool> {
    match Socket::open(tollgate.address).await?.auth(token).await?["type"].as_str() {
        Some("auth-ok") => Ok(true),
        Some("auth-failed") => Ok(false),
        other => bail!("{other:?}"),
    }
}

/// Whether a token is taken, which IAM must not be asked about.
async fn is_known(tollgate: &Tollgate, token: &str) -> anyhow::Result<bool> {
    let before = asked(tollgate).await?;
    Ok(is_taken(tollgate, token).await? && asked(tollgate).await? - before < 0.5)
}

fn with_payload(token: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { bail!("{token}") };
    let mut claims: Value = serde_json::from_slice(&BASE64.decode(payload)?)?;
    change(&mut claims);
    Ok(format!("{header}.{}.{signature}", BASE64.encode(claims.to_string())))
}

#[tokio::test]
async fn a_further_session_costs_no_question_and_ends_as_any() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (ann, _) = tollgate.user("ann", "reader").await?;
    let first = login(&tollgate, "ann").await?;
    assert!(is_taken(&tollgate, &first).await?);
    let other = login(&tollgate, "ann").await?;
    let ended = login(&tollgate, "ann").await?;
    let later = login(&tollgate, "ann").await?;
    assert!(is_known(&tollgate, &other).await?);

    // Nothing but the true token is one of the family.
    let forged = with_payload(&later, |claims| claims["jti"] = ann.clone().into())?;
    assert!(!is_taken(&tollgate, &forged).await?);

    // Its end is known before the one who ended it is told.
    let logout = json!({ "operation": "logout" });
    let (status, _) = tollgate.post("/api/v1/iam", Some(&ended), &logout).await?;
    assert_eq!(status, 200);
    assert!(!is_taken(&tollgate, &ended).await?);
    assert!(is_known(&tollgate, &later).await?, "the others go on");

    // All of a key end with it, shown before or not.
    let unseen = login(&tollgate, "ann").await?;
    let header: Value =
        serde_json::from_slice(&BASE64.decode(first.split('.').next().unwrap_or_default())?)?;
    tollgate.iam(json!({ "operation": "rotate-signing-key", "revoke": header["kid"] })).await?;
    for token in [&first, &other, &later, &unseen] {
        assert!(!is_taken(&tollgate, token).await?);
    }
    // Those of the next one are known by it.
    assert!(is_taken(&tollgate, &login(&tollgate, "ann").await?).await?);
    let unseen = login(&tollgate, "ann").await?;
    assert!(is_known(&tollgate, &login(&tollgate, "ann").await?).await?);

    tollgate.iam(json!({ "operation": "disable-user", "user_id": ann })).await?;
    assert!(!is_taken(&tollgate, &unseen).await?);
    tollgate.iam(json!({ "operation": "enable-user", "user_id": ann })).await?;
    assert!(!is_taken(&tollgate, &unseen).await?, "a session of before");
    Ok(())
}
