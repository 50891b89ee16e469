//! What has two meanings, or none, is refused; by hyper or by us.

use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;
use tollgate_e2e::Tollgate;
use tollgate_e2e::frames::{Seen, Wire};
use tollgate_e2e::raw::Socket;

use super::Then::{Ends, GoesOn};
use super::{Line, check};

const CHUNKED: &str = "2\r\n{}\r\n0\r\n\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn post(lines: &str, body: &str) -> String {
    format!("POST /api/v1/auth/bootstrap-status HTTP/1.1\r\nHost: x\r\n{lines}\r\n{body}")
}

#[tokio::test]
async fn the_length_of_a_body_is_said_once() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let smuggled = format!("{CHUNKED}GET /api/v1/socket HTTP/1.1\r\nHost: x\r\n\r\n");
    let te = "Transfer-Encoding: chunked\r\n";
    for (lines, body, status, then) in [
        ("Content-Length: 2\r\n", "{}", 200, GoesOn),
        // RFC 9110 §8.6 allows it.
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "{}", 200, GoesOn),
        (te, CHUNKED, 200, Ends),
        ("Transfer-Encoding: Chunked\r\n", CHUNKED, 200, Ends),
        // Both: read as chunked, and nothing behind it is (RFC 9112 §6.1).
        ("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", &smuggled, 200, Ends),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", &smuggled, 200, Ends),
        ("Content-Length: 12\r\nTransfer-Encoding: chunked\r\n", &smuggled, 200, Ends),
        ("Content-Length: 2\r\nTransfer-Encoding: xchunked\r\n", CHUNKED, 400, Ends),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", "{}", 400, Ends),
        ("Content-Length: 2, 2\r\n", "{}", 400, Ends),
        ("Content-Length: +2\r\n", "{}", 400, Ends),
        ("Content-Length: -2\r\n", "{}", 400, Ends),
        ("Content-Length: 0x2\r\n", "{}", 400, Ends),
        ("Content-Length: 2 2\r\n", "{}", 400, Ends),
        ("Content-Length:\r\n", "{}", 400, Ends),
        ("Content-Length: 99999999999999999999\r\n", "{}", 400, Ends),
        ("Content-Length: 18446744073709551615\r\n", "{}", 431, Ends),
        ("Transfer-Encoding: identity\r\n", CHUNKED, 400, Ends),
        ("Transfer-Encoding: gzip, chunked\r\n", CHUNKED, 400, Ends),
        ("Transfer-Encoding: chunked, chunked\r\n", CHUNKED, 400, Ends),
        ("Transfer-Encoding: chunked, identity\r\n", CHUNKED, 400, Ends),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKED, 400, Ends),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", CHUNKED, 400, Ends),
        ("Transfer-Encoding: \x0bchunked\r\n", CHUNKED, 400, Ends),
        ("Transfer-Encoding : chunked\r\n", CHUNKED, 400, Ends),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", CHUNKED, 400, Ends),
    ] {
        check(tollgate.address, post(lines, body).as_bytes(), status, then)
            .await
            .with_context(|| format!("{lines:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn fields_that_name_one_thing_stand_once() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let bearer = format!("Authorization: Bearer {}\r\n", tollgate.admin_key);
    let body = "Content-Length: 22\r\n\r\n{\"operation\":\"whoami\"}";
    for (fields, status, then) in [
        (format!("Host: x\r\n{bearer}"), 200, GoesOn),
        (format!("Host: x\r\n{bearer}{bearer}"), 400, Ends),
        (format!("Host: x\r\n{bearer}Authorization: Bearer tg_other\r\n"), 400, Ends),
        (format!("Host: x\r\nHost: x\r\n{bearer}"), 400, Ends),
        (format!("Host: x\r\nhost: y\r\n{bearer}"), 400, Ends),
        (bearer.clone(), 400, Ends),
        (format!("Host: x\r\nAuthorization: Basic x\r\n{bearer}"), 400, Ends),
        (format!("Host: x\r\n{bearer}X-HTTP-Method-Override: GET\r\n"), 200, GoesOn),
        (format!("Host: x\r\n{bearer}Content-Encoding: identity\r\n"), 415, GoesOn),
    ] {
        let request = format!("POST /api/v1/iam HTTP/1.1\r\n{fields}{body}");
        check(tollgate.address, request.as_bytes(), status, then)
            .await
            .with_context(|| format!("{fields:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_announced_too_long_is_not_waited_for() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut line = Line::open(tollgate.address).await?;
    line.write(
        post("Content-Length: 9437184\r\n", "{").replace("bootstrap-status", "login").as_bytes(),
    )
    .await?;
    let asked = Instant::now();
    assert_eq!(line.status().await?, 413);
    // Long before the time that a body may take.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    Ok(())
}

#[tokio::test]
async fn an_upgrade_is_one_request_without_a_body() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let get = |version: &str, lines: &str, body: &str| {
        format!("GET /api/v1/socket HTTP/{version}\r\nHost: x\r\n{UPGRADE}{lines}\r\n{body}")
    };
    let with = |lines: &str| format!("{KEY}{lines}");
    for (request, status) in [
        (get("1.1", &with("Content-Length: 5\r\n"), "hello"), 400),
        (get("1.1", &with("Transfer-Encoding: chunked\r\n"), CHUNKED), 400),
        (get("1.1", &with(KEY), ""), 400),
        (get("1.1", "", ""), 400),
        (get("1.1", &with("Sec-WebSocket-Version: 13\r\n"), ""), 426),
        (get("1.1", &with("Sec-WebSocket-Version: 8\r\n"), ""), 426),
        (get("1.0", KEY, ""), 400),
        (get("1.1", KEY, "").replace("GET", "POST"), 405),
        (get("1.1", KEY, "").replace("GET", "HEAD"), 405),
        (get("1.1", &with("Origin: http://a\r\nOrigin: http://b\r\n"), ""), 400),
        ("HEAD /api/v1/document-stream?document-id=x HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 405),
    ] {
        let mut line = Line::open(tollgate.address).await?;
        line.write(request.as_bytes()).await?;
        assert_eq!(line.status().await?, status, "{request}");
    }
    // An empty body is none.
    let (mut wire, head) = Wire::open_with(tollgate.address, "Content-Length: 0\r\n").await?;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    let ping = tollgate_e2e::frames::frame(0x89, b"x");
    tokio::io::AsyncWriteExt::write_all(&mut wire.writer, &ping).await?;
    assert_eq!(wire.reader.next().await?, Seen::Pong(b"x".into()));
    Ok(())
}

#[tokio::test]
async fn heads_that_are_no_http_or_too_large_are_refused() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let get = |lines: &str| format!("GET /no-such-path HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    let many = |count: usize| get(&"X: y\r\n".repeat(count));
    let long = |size: usize| get(&format!("X: {}\r\n", "y".repeat(size)));
    for (name, request, status, then) in [
        ("64 fields", many(63), 404, GoesOn),
        ("65 fields", many(64), 431, Ends),
        ("15 KiB", long(15 << 10), 404, GoesOn),
        ("16 KiB", long(16 << 10), 431, Ends),
        ("a long path", format!("GET /{} HTTP/1.1\r\n", "y".repeat(16 << 10)), 431, Ends),
        ("no end of line", "y".repeat(17 << 10), 431, Ends),
        ("a blank in a name", get("X y: z\r\n"), 400, Ends),
        ("a blank behind a name", get("X : z\r\n"), 400, Ends),
        ("a folded line", get("X: y\r\n z\r\n"), 400, Ends),
        ("NUL", get("X: y\0z\r\n"), 400, Ends),
        ("a lone CR", get("X: y\rz\r\n"), 400, Ends),
        ("no colon", get("X\r\n"), 400, Ends),
        ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n".into(), 400, Ends),
        ("HTTP/0.9", "GET /\r\n\r\n".into(), 400, Ends),
        ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".into(), 400, Ends),
        ("TRACE", "TRACE /api/v1/iam HTTP/1.1\r\nHost: x\r\n\r\n".into(), 405, Ends),
        ("TRACE of nothing", "TRACE /nope HTTP/1.1\r\nHost: x\r\n\r\n".into(), 405, Ends),
        ("CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n".into(), 405, Ends),
        ("CONNECT of a path", "CONNECT /api/v1/iam HTTP/1.1\r\nHost: x\r\n\r\n".into(), 405, Ends),
        ("a made-up method", "BREW /api/v1/iam HTTP/1.1\r\nHost: x\r\n\r\n".into(), 405, GoesOn),
        (
            "a method in small letters",
            "post /api/v1/iam HTTP/1.1\r\nHost: x\r\n\r\n".into(),
            405,
            GoesOn,
        ),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into(), 404, GoesOn),
    ] {
        check(tollgate.address, request.as_bytes(), status, then).await.context(name)?;
    }
    // HTTP/2 is not spoken, and its preface is no request that could be answered.
    let mut line = Line::open(tollgate.address).await?;
    line.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    line.ended().await?;
    let mut socket = Socket::open(tollgate.address).await?;
    assert_eq!(socket.auth(&tollgate.admin_key).await?["type"], "auth-ok");
    Ok(())
}

#[tokio::test]
async fn a_head_that_does_not_come_is_given_up() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    for begun in ["", "GET /no-such-path HTTP/1.1\r\nHost: x\r\n", "G"] {
        let mut line = Line::open(tollgate.address).await?;
        line.write(begun.as_bytes()).await?;
        // The server has it before time is skipped.
        tokio::task::yield_now().await;
        tokio::time::pause();
        let before = tokio::time::Instant::now();
        let ended = line.ended().await;
        let waited = before.elapsed().as_secs();
        tokio::time::resume();
        ended.with_context(|| format!("{begun:?}"))?;
        assert!((9..=11).contains(&waited), "{begun:?}: {waited} s");
    }
    Ok(())
}
