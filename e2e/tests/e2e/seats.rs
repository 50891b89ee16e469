//! Too many connections: the ones beyond are told so, and friends have room. One that is kept and not
//! used ends.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::{self, Socket};

/// Opens a socket through a proxy, for this client.
async fn open_for(tollgate: &Tollgate, client: &str) -> Result<Socket> {
    Socket::open_with(tollgate.address, "", &[("x-forwarded-for", client)]).await
}

#[tokio::test]
async fn strangers_beyond_the_limit_are_told_and_friends_are_none() -> Result<()> {
    let limit = ("gateway.limits.max_strangers_per_address", "2");
    let tollgate = Tollgate::start_with(&[limit]).await?;
    let address = tollgate.address;
    let (mut first, _second) = (Socket::open(address).await?, Socket::open(address).await?);
    assert_eq!(Socket::open(address).await?.close().await?, (vec![], 4431));
    let body = json!({ "operation": "whoami" }).to_string();
    let bearer = [("Authorization", format!("Bearer {}", tollgate.admin_key))];
    let refused = raw::http(address, "POST", "/api/v1/iam", &bearer, body.as_bytes()).await?;
    assert_eq!((refused.status, &*refused.body), (503, r#"{"error":"unavailable"}"#));
    let headers = (&*refused.headers["retry-after"], &*refused.headers["connection"]);
    assert_eq!(headers, ("5", "close"));
    // Who has said who it is makes room for another.
    assert_eq!(first.auth(&tollgate.admin_key).await?["type"], "auth-ok");
    Socket::authenticated(address, &tollgate.admin_key).await?;
    let answer = raw::http(address, "POST", "/api/v1/iam", &bearer, body.as_bytes()).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn there_is_a_limit_for_all() -> Result<()> {
    let tollgate = Tollgate::start_with(&[("gateway.limits.max_connections", "2")]).await?;
    let friend = || Socket::authenticated(tollgate.address, &tollgate.admin_key);
    let (mut first, second) = (friend().await?, friend().await?);
    assert_eq!(Socket::open(tollgate.address).await?.close().await?.1, 4431);
    first.call(json!(1), json!({ "prompt": "hello" })).await?;
    assert_eq!(first.frame().await?["complete"], true);
    drop(second);
    // Its end is seen soon, and then there is room.
    while friend().await.is_err() {}
    Ok(())
}

#[tokio::test]
async fn behind_a_proxy_its_clients_are_counted() -> Result<()> {
    let tollgate = Tollgate::start_with(&[
        ("gateway.limits.max_strangers_per_address", "2"),
        ("gateway.proxies", "[\"127.0.0.1\"]"),
    ])
    .await?;
    let _held = [open_for(&tollgate, "192.0.2.1").await?, open_for(&tollgate, "192.0.2.1").await?];
    assert_eq!(open_for(&tollgate, "192.0.2.1").await?.close().await?.1, 4431);
    let mut other = open_for(&tollgate, "192.0.2.2").await?;
    assert_eq!(other.auth(&tollgate.admin_key).await?["type"], "auth-ok");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_kept_and_not_used_is_closed() -> Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut stream = TcpStream::connect(tollgate.address).await?;
    let request = "POST /api/v1/auth/bootstrap-status HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut rest = Vec::with_capacity(4 << 10);
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).await?;
        stream.read_buf(&mut rest).await?;
        let answer = String::from_utf8_lossy(&rest);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        rest.clear();
    }
    let begin = Instant::now();
    timeout(Duration::from_secs(15), stream.read_to_end(&mut rest)).await??;
    assert!(begin.elapsed() > Duration::from_secs(9), "{:?}", begin.elapsed());
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    Ok(())
}
