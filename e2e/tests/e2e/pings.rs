//! Pings of both kinds: answered, but not without end.

use anyhow::Result;
use serde_json::json;
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::{Received, Socket};

/// Pings until it is closed: how many were answered, and the code.
async fn answered(socket: &mut Socket, count: usize) -> Result<(usize, u16)> {
    for t in 0..count {
        // The rest finds the socket closed.
        if socket.send(&json!({ "type": "ping", "t": t })).await.is_err() {
            break;
        }
    }
    let mut answered = 0;
    loop {
        match socket.next().await? {
            Received::Frame(frame) if frame["type"] == "pong" => answered += 1,
            Received::Frame(_) => {}
            Received::Closed(code) => return Ok((answered, code)),
            Received::Gone => anyhow::bail!("gone after {answered}"),
        }
    }
}

#[tokio::test]
async fn who_pings_without_end_is_closed_4429() -> Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut stranger = Socket::open(tollgate.address).await?;
    let (count, code) = answered(&mut stranger, 200).await?;
    assert_eq!(code, 4429);
    // Ten seconds' worth at once, and what came due meanwhile.
    assert!((50..100).contains(&count), "{count}");
    let mut friend = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    let (count, code) = answered(&mut friend, 400).await?;
    assert_eq!(code, 4429);
    assert!((100..200).contains(&count), "{count}");
    // Pings of the protocol are pings.
    let mut stranger = Socket::open(tollgate.address).await?;
    for _ in 0..200 {
        if stranger.ping().await.is_err() {
            break;
        }
    }
    assert_eq!(stranger.close().await?.1, 4429);
    Ok(())
}
