//! Claims a fresh Tollgate: in goes its address, out comes the admin's API key.

use std::net::SocketAddr;

use anyhow::Context;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Becomes the admin of a deployment that nobody owns yet.
pub(crate) async fn claim(address: SocketAddr) -> anyhow::Result<String> {
    let request = format!(
        "POST /api/v1/auth/bootstrap HTTP/1.1\r\nHost: {address}\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the claim was not answered")?;
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let key = body.get("bootstrap_admin_api_key").and_then(Value::as_str);
    let status = head.lines().next().unwrap_or_default();
    Ok(key.with_context(|| format!("the claim was refused: {status}"))?.to_owned())
}
