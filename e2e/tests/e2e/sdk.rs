//! Our own SDK against the real thing.

use serde_json::Value;
use tollgate_client::{CallError, Client, Config};
use tollgate_e2e::{Tollgate, echo};

#[tokio::test]
async fn a_hundred_calls_and_streams_at_once() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let client = tollgate.client().await?;
    let calls = (0..100).map(|n| {
        let client = client.clone();
        async move {
            let prompt = format!("call {n}");
            let answer: Value = serde_json::from_str(client.call(echo(&prompt)?).await?.get())?;
            anyhow::ensure!(answer["response"] == prompt.as_str(), "{answer}");
            anyhow::Ok(())
        }
    });
    futures_util::future::try_join_all(calls).await?;
    Ok(())
}

#[tokio::test]
async fn a_bad_token_then_a_good_one_on_one_socket() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let client = Client::connect(Config::new(tollgate.url())).await?;
    assert!(client.authenticate("tg_no".to_owned()).await.is_err());
    let refused = client.call(echo("x")?).await.unwrap_err();
    assert_eq!(refused.kind(), Some("auth-required"));
    assert!(matches!(refused, CallError::Refused(_)));
    client.authenticate(tollgate.admin_key.clone()).await?;
    client.call(echo("x")?).await?;
    Ok(())
}
