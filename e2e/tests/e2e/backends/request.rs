//! What a service is sent: the caller's request, and who calls in words of the gateway only.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::upstream::{Posted, Upstream};
use tollgate_runtime::files::write_new_secret;

use super::{Scene, call_with};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The headers without those that differ from run to run.
fn fixed(mut posted: Posted) -> BTreeMap<String, String> {
    for name in ["host", "content-length", "tollgate-principal", "tollgate-deadline-ms"] {
        assert!(posted.headers.remove(name).is_some(), "no {name}");
    }
    posted.headers
}

fn headers(own: &[(&str, &str)]) -> BTreeMap<String, String> {
    let always = [
        ("accept", "application/json, application/x-ndjson, text/event-stream"),
        ("content-type", "application/json"),
    ];
    always.iter().chain(own).map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

#[tokio::test]
async fn a_service_learns_who_calls_and_gets_the_request_as_it_came() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let (id, key) = scene.tollgate.user("ada", "writer").await?;
    let mut socket = Socket::authenticated(scene.tollgate.address, &key).await?;
    let request =
        r#"{ "b" : 1.50, "workspace":"evil", "user-context":{"admin":true}, "a":"\u00e9" }"#;
    let frame = format!(
        r#"{{"id":1,"service":"mine","flow":"default","deadline_ms":30000,"traceparent":"{TRACE}","request":{request}}}"#
    );
    socket.send_text(&frame).await?;
    let (mut line, posted) = scene.upstream.posted().await?;
    assert_eq!(posted.line, "POST / HTTP/1.1");
    assert_eq!(posted.body, r#"{"workspace":"default","b" : 1.50,"a":"\u00e9"}"#);
    assert_eq!(posted.headers["host"], scene.upstream.address.to_string());
    assert_eq!(posted.headers["tollgate-principal"], id);
    let left: u64 = posted.headers["tollgate-deadline-ms"].parse()?;
    assert!((1..=30_000).contains(&left), "{left}");
    let expect = headers(&[
        ("tollgate-flow", "default"),
        ("tollgate-service", "mine"),
        ("tollgate-workspace", "default"),
        ("traceparent", TRACE),
    ]);
    assert_eq!(fixed(posted), expect);
    line.answer(&json!({})).await?;
    assert_eq!(socket.frame().await?["complete"], true);

    // A trace that breaks the rules is none.
    call_with(&mut scene.socket, 2, json!({ "traceparent": "00-0-0-0\r\nx: y" })).await?;
    let posted = line.posted().await?;
    assert!(!posted.headers.contains_key("traceparent"));
    Ok(())
}

#[tokio::test]
async fn what_an_http_caller_says_in_headers_goes_no_further() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let body = r#"{"workspace":"default","user-context":1,"tollgate-principal":"admin","x":1}"#;
    let forged = format!(
        "POST /api/v1/flow/default/service/mine HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {}\r\nTollgate-Principal: admin\r\ntollgate-workspace: evil\r\n\
         tollgate-flow: evil\r\ntollgate-service: evil\r\ntollgate-deadline-ms: 9\r\n\
         Cookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\ntraceparent: {TRACE}\r\n\
         Connection: close, tollgate-workspace\r\nContent-Length: {}\r\n\r\n{body}",
        scene.tollgate.admin_key,
        body.len(),
    );
    let mut caller = TcpStream::connect(scene.tollgate.address).await?;
    caller.write_all(forged.as_bytes()).await?;
    let (mut line, posted) = scene.upstream.posted().await?;
    // The rest of the request is the service's business.
    assert_eq!(posted.body, r#"{"workspace":"default","tollgate-principal":"admin","x":1}"#);
    assert_ne!(posted.headers["tollgate-principal"], "admin");
    assert_ne!(posted.headers["tollgate-deadline-ms"], "9");
    let expect = headers(&[
        ("tollgate-flow", "default"),
        ("tollgate-service", "mine"),
        ("tollgate-workspace", "default"),
        ("traceparent", TRACE),
    ]);
    assert_eq!(fixed(posted), expect);
    line.answer(&json!({ "said": "hello" })).await?;
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"said\":\"hello\"}"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn no_name_of_a_caller_becomes_a_header_of_its_own() -> anyhow::Result<()> {
    let upstream = Upstream::listen().await?;
    let stanza = format!("[flow-service.\"thru/*\"]\nbackend = \"http://{}/\"\n", upstream.address);
    let tollgate = Tollgate::start_with_registry(&stanza).await?;
    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    let service = "thru/a\r\ntollgate-principal: admin\r\n\r\n{}";
    call_with(&mut socket, 1, json!({ "service": service, "flow": "größe 1" })).await?;
    let (_line, posted) = upstream.posted().await?;
    let encoded = "thru/a%0D%0Atollgate-principal:%20admin%0D%0A%0D%0A{}";
    assert_eq!(posted.headers["tollgate-service"], encoded);
    assert_eq!(posted.headers["tollgate-flow"], "gr%C3%B6%C3%9Fe%201");
    assert_eq!(posted.body, r#"{"workspace":"default","n":1}"#);

    // These are refused before a backend hears of them.
    for name in ["flow", "workspace"] {
        call_with(&mut socket, 2, json!({ "service": "thru/a", name: "a\r\nb: c" })).await?;
        let frame = socket.frame().await?;
        assert_eq!((&frame["id"], &frame["error"]["type"]), (&json!(2), &json!("invalid-request")));
    }
    Ok(())
}

#[tokio::test]
async fn a_service_can_know_the_gateway_by_a_secret() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("secret");
    write_new_secret(&file, "a secret between the two")?;
    let line = format!("secret_file = {:?}", file.display().to_string());
    let mut scene = Scene::open_with(&line).await?;
    call_with(&mut scene.socket, 1, json!({})).await?;
    let (_line, posted) = scene.upstream.posted().await?;
    assert_eq!(posted.headers["authorization"], "Bearer a secret between the two");
    Ok(())
}
