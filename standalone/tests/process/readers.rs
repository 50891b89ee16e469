//! Clients that stop reading in the middle of a large answer: they are closed, nobody else notices,
//! and the memory that they cost is bounded.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tollgate_e2e::process::{PATIENCE, Server};
use tollgate_e2e::raw::Socket;

use crate::folder;

const READERS: usize = 6;
const WRITE_STALL: Duration = Duration::from_secs(2);
/// Its answer is twice as long: more than the buffers of two kernels hold.
const REQUEST: usize = 7 << 20;

/// In bytes.
fn resident(server: &Server) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? << 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_reading_is_closed_and_nobody_else_notices() -> Result<()> {
    let folder = folder();
    let mut command = folder.command();
    let stall = format!("{}s", WRITE_STALL.as_secs());
    command.env("TOLLGATE_GATEWAY__LIMITS__WRITE_STALL", stall);
    // It says why it closes a socket.
    let server = Server::start(command.env("TOLLGATE_LOG__LEVEL", "tollgate_gateway=info"));
    let (key, address) = (server.claim(), server.address);
    let mut other = Socket::authenticated(address, &key).await?;
    let before = resident(&server)?;
    let request = json!({ "prompt": "x".repeat(REQUEST) });
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = Socket::authenticated(address, &key).await?;
        reader.call(json!(1), request.clone()).await?;
        readers.push(reader);
    }
    let mut over_http = TcpStream::connect(address).await?;
    let body = request.to_string();
    let head = format!(
        "POST /api/v1/flow/default/service/text-completion HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    over_http.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;

    let (mut slowest, mut most) = (Duration::ZERO, 0);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        other.call(json!(2), json!({ "prompt": "hello" })).await?;
        anyhow::ensure!(other.frame().await?["complete"] == true);
        slowest = slowest.max(asked.elapsed());
        most = most.max(resident(&server)?);
    }
    // The request, its answer, and the frame of the answer, for each.
    let bound = (READERS + 1) * 6 * REQUEST;
    assert!(most - before < bound, "{} MiB of {} MiB", (most - before) >> 20, bound >> 20);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    for _ in &readers {
        server.said_until("code=4430");
    }
    // Whoever reads again within the goodbye hears why; the others find the connection gone.
    for reader in &mut readers {
        if let Ok((_, code)) = reader.close().await {
            assert_eq!(code, 4430);
        }
    }
    // The answer has begun to come, and is left alone for twice as long as it may be.
    timeout(PATIENCE, over_http.readable()).await??;
    sleep(2 * WRITE_STALL).await;
    let mut answer = Vec::new();
    // It may end with a reset.
    let _ = timeout(PATIENCE, over_http.read_to_end(&mut answer)).await?;
    assert!(answer.len() < 2 * REQUEST, "{}", answer.len());
    Ok(())
}
