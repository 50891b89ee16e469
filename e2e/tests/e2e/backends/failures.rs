//! A service that dies, hangs or lies: the right error on that id, and nothing else disturbed.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tollgate_e2e::upstream::json_answer;
use tollgate_proto::error::ErrorKind;

use super::{Scene, call, call_with};

const OK: &str = "HTTP/1.1 200 OK";
const JSON: &str = "content-type: application/json";
const LINES: &str = "content-type: application/x-ndjson";
const EVENTS: &str = "content-type: text/event-stream";

fn answer(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    format!("{status}\r\n{}\r\n\r\n{body}", headers.join("\r\n")).into()
}

/// Answers that break HTTP.
fn broken_http() -> Vec<(&'static str, Vec<u8>)> {
    let huge = format!("x: {}", "y".repeat(20_000));
    vec![
        ("nothing", Vec::new()),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-".into()),
        ("garbage", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".into()),
        ("HTTP/0.9", b"{\"a\":1}".into()),
        ("HTTP/2", b"\0\0\x12\x04\0\0\0\0\0".into()),
        ("a huge header", answer(OK, &[JSON, &huge], "{}")),
        ("many headers", answer(OK, &[vec![JSON], vec!["x: y"; 70]].concat(), "{}")),
        ("two lengths", answer(OK, &[JSON, "content-length: 2", "content-length: 3"], "{} ")),
        ("a body cut short", answer(OK, &[JSON, "content-length: 9"], "{}")),
        ("a broken chunk", answer(OK, &[JSON, "transfer-encoding: chunked"], "x\r\n{}")),
        ("101", answer("HTTP/1.1 101 Switching", &["connection: upgrade", "upgrade: x"], "")),
    ]
}

/// Answers that are HTTP and not what a service may say.
fn broken_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let json = |body: &str| json_answer("200 OK", body).into();
    let status = |line: &str| answer(&format!("HTTP/1.1 {line}"), &["content-length: 0"], "");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
    let long = format!("{{\"a\":{}}}", "1".repeat(65));
    let mut bytes = json_answer("200 OK", "{\"a\":\"?\"}").into_bytes();
    bytes.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xff);
    vec![
        ("half an object", json("{\"a\":")),
        ("an array", json("[1]")),
        ("a string", json("\"hello\"")),
        ("no body", json("")),
        ("more behind the object", json("{}{}")),
        ("a repeated key", json("{\"a\":1,\"a\":2}")),
        ("deep nesting", json(&deep)),
        ("a long number", json(&long)),
        ("not UTF-8", bytes),
        ("another type", answer(OK, &["content-type: text/html", "content-length: 2"], "{}")),
        ("no type", answer(OK, &["content-length: 2"], "{}")),
        ("gzip", answer(OK, &[JSON, "content-encoding: gzip", "content-length: 2"], "{}")),
        ("204", status("204 No Content")),
        ("302", status("302 Found\r\nlocation: http://127.0.0.1:1/")),
        ("404", status("404 Not Found")),
        ("500", status("500 Internal Server Error")),
        ("a text for an error", json_answer("500 No", "{\"error\":\"inside detail\"}").into()),
        ("a large error", answer("HTTP/1.1 500 No", &[JSON, "content-length: 104857600"], "{")),
        ("a line that is no object", answer(OK, &[LINES], "1\n")),
        ("half a line", answer(OK, &[LINES], "{\"a\":")),
        ("an event that is no object", answer(OK, &[EVENTS], "data: hello\n\n")),
    ]
}

/// Answers beyond 64 KiB.
fn large_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let text = format!("{{\"a\":\"{}\"}}\n", "x".repeat(64 << 10));
    vec![
        ("a length of 100 MiB", answer(OK, &[JSON, "content-length: 104857600"], "{")),
        ("a large object", json_answer("200 OK", &text).into()),
        ("a large line", answer(OK, &[LINES], &text)),
        ("a large event", answer(OK, &[EVENTS], &format!("data: {text}\n"))),
    ]
}

/// All of them, each with the error that it must become.
fn failures() -> impl Iterator<Item = (&'static str, Vec<u8>, ErrorKind)> {
    let of = |kind| move |(case, bytes)| (case, bytes, kind);
    let broken = broken_http().into_iter().chain(broken_bodies());
    let large = large_bodies().into_iter().map(of(ErrorKind::TooLarge));
    broken.map(of(ErrorKind::UpstreamError)).chain(large)
}

#[tokio::test]
async fn whatever_is_no_answer_is_an_error_on_that_id_alone() -> anyhow::Result<()> {
    let mut scene = Scene::open_with("max_answer = \"64KiB\"").await?;
    for (id, (case, bytes, kind)) in (1..).zip(failures()) {
        let (mut line, mut other) = (scene.call(id).await?, scene.call(id + 1_000).await?);
        line.send(&bytes).await?;
        line.0.shutdown().await?;
        let frame = scene.socket.frame().await?;
        let seen = (&frame["id"], &frame["error"]["type"], &frame["complete"]);
        assert_eq!(seen, (&json!(id), &json!(kind.as_str()), &json!(true)), "{case}: {frame}");
        assert!(!frame.to_string().contains("detail"), "{case}: {frame}");
        // The call beside it does not notice.
        other.answer(&json!({ "n": id })).await?;
        let frame = scene.socket.frame().await?;
        let seen = (&frame["id"], &frame["response"]);
        assert_eq!(seen, (&json!(id + 1_000), &json!({ "n": id })), "beside {case}: {frame}");
    }
    // A request that one of them may have read was not sent again.
    scene.works(5_000).await
}

#[tokio::test]
async fn a_caller_over_http_hears_the_same_as_a_status() -> anyhow::Result<()> {
    let scene = Scene::open_with("max_answer = \"64KiB\"").await?;
    let path = "/api/v1/flow/default/service/mine";
    for (case, bytes, kind) in failures() {
        let request = json!({});
        let asked = scene.tollgate.post(path, Some(&scene.tollgate.admin_key), &request);
        let played = async {
            let (mut line, _) = scene.upstream.posted().await?;
            line.send(&bytes).await?;
            Ok(line.0.shutdown().await?)
        };
        let ((status, body), ()) = tokio::try_join!(asked, played)?;
        assert_eq!(status, kind.http_status(), "{case}: {body}");
        assert!(
            body["error"].is_string() && !body.to_string().contains("detail"),
            "{case}: {body}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_dies_ends_with_an_error() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    line.begin_stream("application/x-ndjson").await?;
    line.chunk("{\"n\":1}\n{\"n\"").await?;
    assert_eq!(scene.socket.frame().await?["response"]["n"], 1);
    drop(line);
    let frame = scene.socket.frame().await?;
    assert_eq!(frame["error"]["type"], "upstream-error", "{frame}");
    assert_eq!(frame["complete"], true);
    scene.works(2).await
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() -> anyhow::Result<()> {
    let mut scene = Scene::open_with("max_answer = \"1MiB\"").await?;
    let mut line = scene.call(1).await?;
    line.begin_stream("application/json").await?;
    let chunk = "x".repeat(64 << 10);
    // 100 MiB would be 1 600 of them; what lies in the kernel's buffers counts too.
    let mut sent = 0;
    while sent < 1_600 && line.chunk(&chunk).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 400, "{sent}");
    assert_eq!(scene.socket.frame().await?["error"]["type"], "too-large");
    scene.works(2).await
}

#[tokio::test]
async fn a_service_that_hangs_is_left_at_the_deadline() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let deadline = json!({ "deadline_ms": 50 });
    // Before the head, in the head, in the body, in a stream.
    let begins = [
        "",
        "HTTP/1.1 200 OK\r\ncontent-",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n{\"a\"",
    ];
    for (id, begin) in (1..).zip(begins) {
        call_with(&mut scene.socket, id, deadline.clone()).await?;
        let (mut line, _) = scene.upstream.posted().await?;
        line.send(begin).await?;
        let frame = scene.socket.frame().await?;
        assert_eq!(frame["error"]["type"], "deadline-exceeded", "{begin:?}");
        line.closed().await?;
        // Too late: nobody hears it, and the next call is not answered with it.
        let _ = line.answer(&json!({ "late": true })).await;
    }
    scene.works(9).await
}

#[tokio::test]
async fn the_time_of_a_call_runs_while_it_waits_for_its_turn() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut running = Vec::new();
    // As many as run at once, by default.
    for id in 0..64 {
        running.push(scene.call(id).await?);
    }
    for (id, deadline) in [(100, 10_000), (101, 100), (102, 0)] {
        call_with(&mut scene.socket, id, json!({ "deadline_ms": deadline })).await?;
    }
    for id in [102, 101] {
        let frame = scene.socket.frame().await?;
        assert_eq!(
            (&frame["id"], &frame["error"]["type"]),
            (&json!(id), &json!("deadline-exceeded"))
        );
    }
    running[0].answer(&json!({})).await?;
    assert_eq!(scene.socket.frame().await?["id"], 0);
    let posted = running[0].posted().await?;
    assert_eq!(posted.body, r#"{"workspace":"default","n":100}"#);
    let left: u64 = posted.headers["tollgate-deadline-ms"].parse()?;
    assert!(left <= 9_900, "what was waited is over: {left}");
    running[0].answer(&json!({})).await?;
    assert_eq!(scene.socket.frame().await?["id"], 100);
    Ok(())
}

#[tokio::test]
async fn a_cancelled_call_closes_its_connection_at_once() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut fastest = Duration::MAX;
    for id in 1..6 {
        let mut line = scene.call(id).await?;
        if id % 2 == 0 {
            line.begin_stream("application/x-ndjson").await?;
            line.chunk("{}\n").await?;
            scene.socket.frame().await?;
        }
        let begin = Instant::now();
        scene.socket.send(&json!({ "type": "cancel", "id": id })).await?;
        assert_eq!(scene.socket.frame().await?["error"]["type"], "cancelled");
        line.closed().await?;
        fastest = fastest.min(begin.elapsed());
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    scene.works(9).await
}

#[tokio::test]
async fn a_caller_that_is_gone_closes_the_connection() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    drop(scene.socket);
    line.closed().await?;

    let mut caller = TcpStream::connect(scene.tollgate.address).await?;
    let head = format!(
        "POST /api/v1/flow/default/service/mine HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {}\r\nContent-Length: 2\r\n\r\n{{}}",
        scene.tollgate.admin_key
    );
    caller.write_all(head.as_bytes()).await?;
    let (mut line, _) = scene.upstream.posted().await?;
    drop(caller);
    line.closed().await
}

#[tokio::test]
async fn a_reader_that_waits_makes_the_service_wait() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    line.begin_stream("application/x-ndjson").await?;
    let chunk = format!("{{\"x\":\"{}\"}}\n", "x".repeat(16 << 10));
    // Nothing is read from the socket: the stream gets stuck, in the queue of answers and the
    // kernel's buffers, and not in the memory of the gateway.
    let mut sent = 0;
    let framed = format!("{:x}\r\n{chunk}\r\n", chunk.len());
    let stuck = loop {
        match timeout(Duration::from_secs(1), line.0.write_all(framed.as_bytes())).await {
            Ok(written) => written?,
            Err(_) => break true,
        }
        sent += 1;
        if sent * framed.len() > 64 << 20 {
            break false;
        }
    };
    assert!(stuck, "{sent} chunks were taken");
    // Another socket of the same gateway does not notice.
    let key = scene.tollgate.admin_key.clone();
    let mut other = tollgate_e2e::raw::Socket::authenticated(scene.tollgate.address, &key).await?;
    call(&mut other, 7).await?;
    let (mut second, _) = scene.upstream.posted().await?;
    second.answer(&json!({})).await?;
    assert_eq!(other.frame().await?["id"], 7);
    // Who reads again gets what was sent, in order.
    for _ in 0..sent {
        assert_eq!(scene.socket.frame().await?["complete"], false);
    }
    Ok(())
}
