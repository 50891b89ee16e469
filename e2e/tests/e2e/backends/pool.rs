//! Connections that are kept and used again, and several servers behind one service.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::upstream::{Line, Upstream};

use super::{Scene, call, stanzas};

async fn answer(line: &mut Line, socket: &mut Socket, id: u64) -> anyhow::Result<()> {
    line.answer(&json!({ "n": id })).await?;
    let frame = socket.frame().await?;
    assert_eq!((&frame["id"], &frame["response"]["n"]), (&json!(id), &json!(id)), "{frame}");
    Ok(())
}

#[tokio::test]
async fn calls_follow_each_other_on_one_connection() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(0).await?;
    answer(&mut line, &mut scene.socket, 0).await?;
    for id in 1..20 {
        call(&mut scene.socket, id).await?;
        line.posted().await?;
        answer(&mut line, &mut scene.socket, id).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_to_the_next_call() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(0).await?;
    for id in 1..4 {
        line.send("HTTP/1.1 503 Busy\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nbusy")
            .await?;
        assert_eq!(scene.socket.frame().await?["error"]["type"], "unavailable");
        call(&mut scene.socket, id).await?;
        line.posted().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_call() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    // Several at once, so that several are idle; then all are closed.
    let mut lines = Vec::new();
    for id in 0..4 {
        lines.push(scene.call(id).await?);
    }
    for (id, line) in (0..).zip(&mut lines) {
        answer(line, &mut scene.socket, id).await?;
    }
    for line in &mut lines {
        line.0.shutdown().await?;
    }
    scene.works(4).await
}

#[tokio::test]
async fn a_connection_that_says_close_is_not_used_again() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    line.send(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: 2\r\n\r\n{}",
    )
    .await?;
    assert_eq!(scene.socket.frame().await?["id"], 1);
    line.closed().await?;
    scene.works(2).await
}

#[tokio::test]
async fn bytes_behind_an_answer_are_nobodys_answer() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    let extra = tollgate_e2e::upstream::json_answer("200 OK", "{\"forged\":1}");
    let answer = tollgate_e2e::upstream::json_answer("200 OK", "{}");
    line.send(&format!("{answer}{extra}")).await?;
    assert_eq!(scene.socket.frame().await?["response"], json!({}));
    scene.works(2).await
}

#[tokio::test]
async fn a_request_that_may_have_been_read_is_not_sent_again() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    answer(&mut line, &mut scene.socket, 1).await?;
    // The server closes just as the connection is used again.
    call(&mut scene.socket, 2).await?;
    line.posted().await?;
    drop(line);
    let frame = scene.socket.frame().await?;
    assert_eq!(frame["error"]["type"], "upstream-error", "{frame}");
    assert_eq!(frame["error"]["retryable"], false);
    // The next connection carries the next call.
    scene.works(3).await
}

#[tokio::test]
async fn beyond_its_limit_a_backend_takes_no_call() -> anyhow::Result<()> {
    let mut scene = Scene::open_with("max_inflight = 1").await?;
    let mut line = scene.call(1).await?;
    call(&mut scene.socket, 2).await?;
    let frame = scene.socket.frame().await?;
    assert_eq!((&frame["id"], &frame["error"]["type"]), (&json!(2), &json!("unavailable")));
    assert_eq!(frame["error"]["retryable"], true);
    answer(&mut line, &mut scene.socket, 1).await?;
    call(&mut scene.socket, 3).await?;
    line.posted().await?;
    answer(&mut line, &mut scene.socket, 3).await
}

#[tokio::test]
async fn nobody_there_is_unavailable() -> anyhow::Result<()> {
    let Scene { tollgate: _tollgate, upstream, mut socket } = Scene::open().await?;
    let address = upstream.address;
    drop(upstream);
    for id in 0..3 {
        call(&mut socket, id).await?;
        let frame = socket.frame().await?;
        assert_eq!(frame["error"]["type"], "unavailable", "{frame}");
    }
    // It is tried although it is known to be away, so that its return is noticed at once.
    let upstream = Upstream::listen_at(address).await?;
    call(&mut socket, 9).await?;
    loop {
        // The probe connects too, and says nothing.
        let mut line = upstream.accept().await?;
        if line.posted().await.is_ok() {
            return answer(&mut line, &mut socket, 9).await;
        }
    }
}

#[tokio::test]
async fn a_dead_server_costs_no_call_and_comes_back() -> anyhow::Result<()> {
    let (alive, dead) = (Upstream::listen().await?, Upstream::listen().await?);
    let address = dead.address;
    drop(dead);
    let urls = [format!("http://{}/", alive.address), format!("http://{address}/")];
    let registry = stanzas(&[&urls[0], &urls[1]], "max_idle = 0");
    let tollgate = Tollgate::start_with_registry(&registry).await?;
    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    for id in 0..20 {
        call(&mut socket, id).await?;
        let (mut line, _) = alive.posted().await?;
        answer(&mut line, &mut socket, id).await?;
    }
    // Nobody but the probe connects to it until the probe has found it; then it has its share.
    let back = Upstream::listen_at(address).await?;
    let mut probed = false;
    for id in 20.. {
        call(&mut socket, id).await?;
        let mut line = loop {
            let (is_back, mut line) = tokio::select! {
                line = alive.accept() => (false, line?),
                line = back.accept() => (true, line?),
            };
            match line.posted().await {
                Ok(_) if is_back && probed => return answer(&mut line, &mut socket, id).await,
                Ok(_) => {
                    assert!(!is_back, "a call came before the probe");
                    break line;
                }
                // It says nothing.
                Err(_) => probed = true,
            }
        };
        answer(&mut line, &mut socket, id).await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_two_servers_the_less_busy_is_asked() -> anyhow::Result<()> {
    let servers = [Upstream::listen().await?, Upstream::listen().await?];
    let urls = servers.each_ref().map(|server| format!("http://{}/", server.address));
    let registry = stanzas(&[&urls[0], &urls[1]], "max_idle = 0");
    let tollgate = Tollgate::start_with_registry(&registry).await?;
    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    // Never answered: each goes where fewer wait.
    let mut lines = [Vec::new(), Vec::new()];
    for id in 0..10 {
        call(&mut socket, id).await?;
        let (at, posted) = tokio::select! {
            posted = servers[0].posted() => (0, posted),
            posted = servers[1].posted() => (1, posted),
        };
        lines[at].push(posted?.0);
    }
    assert_eq!(lines.each_ref().map(Vec::len), [5, 5]);
    // One has answered all, and is the less busy one until it has as many again.
    for mut line in lines[0].drain(..) {
        line.answer(&json!({})).await?;
        socket.frame().await?;
    }
    for id in 10..15 {
        call(&mut socket, id).await?;
        lines[0].push(servers[0].posted().await?.0);
    }
    Ok(())
}
