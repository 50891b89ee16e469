//! Bytes of documents and cores, and the metrics of the deployment. The backends behind them are
//! played by the tests.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::{self, Answer};
use tollgate_e2e::upstream::{Line, Upstream};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A Tollgate whose streams and metrics are at a server of the test's.
struct Scene {
    tollgate: Tollgate,
    upstream: Upstream,
}

impl Scene {
    async fn open() -> anyhow::Result<Self> {
        Self::open_with(&[]).await
    }

    async fn open_with(settings: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        let upstream = Upstream::listen().await?;
        let tollgate = Tollgate::start_with_registry_and(&stanzas(&upstream), settings).await?;
        Ok(Self { tollgate, upstream })
    }

    /// A key of a new user's: its id, and the key.
    async fn key_of(&self, name: &str) -> anyhow::Result<(Value, String)> {
        let (user, _) = self.tollgate.user(name, "writer").await?;
        let key = json!({ "user_id": user, "name": "brief" });
        let made = self.tollgate.iam(json!({ "operation": "create-api-key", "key": key })).await?;
        let plaintext = made["api_key_plaintext"].as_str().context("no key")?.to_owned();
        Ok((made["api_key"]["id"].clone(), plaintext))
    }

    async fn revoke(&self, id: Value) -> anyhow::Result<Instant> {
        self.tollgate.iam(json!({ "operation": "revoke-api-key", "key_id": id })).await?;
        Ok(Instant::now())
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>) -> anyhow::Result<Answer> {
        let bearer = token.map(|token| ("Authorization", format!("Bearer {token}")));
        raw::http(self.tollgate.address, method, path, bearer.as_slice(), b"").await
    }

    /// Sends the head of a request of the admin's, and no more.
    async fn begin(&self, line: &str, more: &str) -> anyhow::Result<Line> {
        self.begin_as(&self.tollgate.admin_key, line, more).await
    }

    /// The same of somebody else's.
    async fn begin_as(&self, key: &str, line: &str, more: &str) -> anyhow::Result<Line> {
        let mut stream = Line(TcpStream::connect(self.tollgate.address).await?);
        let head =
            format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}\r\n");
        stream.send(head).await?;
        Ok(stream)
    }
}

fn stanzas(upstream: &Upstream) -> String {
    let url = format!("http://{}/b/?x=1", upstream.address);
    let stream = |name| format!("[stream.{name}]\nbackend = {url:?}\n");
    ["document-stream", "export-core", "import-core"].map(stream).concat()
        + &format!("[metrics]\nbackend = \"http://{}/api/v1/\"\n", upstream.address)
}

/// Reads until this has come.
async fn until(line: &mut Line, end: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(
            line.0.read_u8().await.with_context(|| String::from_utf8_lossy(&bytes).into_owned())?,
        );
    }
    Ok(String::from_utf8(bytes)?)
}

#[tokio::test]
async fn a_document_comes_piece_by_piece() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let path = "/api/v1/document-stream?document-id=urn%3Aa%20b+c%26d&chunk-size=9&y=2";
    let mut client = scene.begin(&format!("GET {path}"), "").await?;
    let (mut backend, asked) = scene.upstream.posted().await?;
    let place = "/b/?x=1&document-id=urn%3Aa%20b%20c%26d&chunk-size=9&workspace=default";
    assert_eq!(asked.line, format!("GET {place} HTTP/1.1"));
    assert_eq!(asked.headers["tollgate-service"], "document-stream");
    assert_eq!(asked.headers["tollgate-workspace"], "default");
    assert!(!asked.headers.contains_key("authorization"));
    backend.begin_stream("application/pdf").await?;
    backend.chunk("first").await?;
    let head = until(&mut client, "5\r\nfirst\r\n").await?;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"),
        "{head}"
    );
    backend.chunk("last").await?;
    backend.chunk("").await?;
    assert_eq!(until(&mut client, "0\r\n\r\n").await?, "4\r\nlast\r\n0\r\n\r\n");

    // One that breaks off does not look whole.
    let mut client = scene.begin("GET /api/v1/export-core?id=a", "").await?;
    let asked = backend.posted().await?;
    assert_eq!(asked.line, "GET /b/?x=1&id=a&workspace=default HTTP/1.1");
    backend.begin_stream("application/octet-stream").await?;
    backend.chunk("half").await?;
    until(&mut client, "4\r\nhalf\r\n").await?;
    drop(backend);
    client.closed().await
}

#[tokio::test]
async fn a_core_goes_in_as_it_comes() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let line = "POST /api/v1/import-core?id=a%2Fb";
    let mut client = scene.begin(line, "Content-Length: 10\r\n").await?;
    client.send("first").await?;
    let mut backend = scene.upstream.accept().await?;
    let head = until(&mut backend, "first").await?;
    assert!(head.starts_with("POST /b/?x=1&id=a%2Fb&workspace=default HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: 10\r\n"), "{head}");
    client.send(" last").await?;
    until(&mut backend, " last").await?;
    backend.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    let answer = until(&mut client, "\r\n\r\n").await?;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n"),
        "{answer}"
    );

    // What is announced as too large is refused before any of it is sent.
    let length = (256 << 20) + 1;
    let mut large = scene.begin(line, &format!("Content-Length: {length}\r\n")).await?;
    let refused = until(&mut large, "\r\n\r\n").await?;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");

    // A client that goes away takes the upload with it.
    let mut client = scene.begin(line, "Content-Length: 10\r\n").await?;
    client.send("first").await?;
    until(&mut backend, "first").await?;
    client.0.shutdown().await?;
    backend.closed().await
}

const LEASE: Duration = Duration::from_millis(500);
const SHORT_LEASE: (&str, &str) = ("link.lease", "500ms");

fn check_within_the_lease(revoked: Instant) {
    let took = revoked.elapsed();
    assert!(took < LEASE + Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn bytes_come_no_longer_than_their_key_may_have_them() -> anyhow::Result<()> {
    let scene = Scene::open_with(&[SHORT_LEASE]).await?;
    for (name, flows) in [("ann", true), ("eve", false)] {
        let (id, key) = scene.key_of(name).await?;
        let mut client = scene.begin_as(&key, "GET /api/v1/export-core?id=a", "").await?;
        let (mut backend, _) = scene.upstream.posted().await?;
        backend.begin_stream("application/octet-stream").await?;
        backend.chunk("half").await?;
        until(&mut client, "4\r\nhalf\r\n").await?;
        // Longer than a lease: whoever may have it is not disturbed.
        tokio::time::sleep(LEASE * 2).await;
        backend.chunk("more").await?;
        until(&mut client, "4\r\nmore\r\n").await?;
        let revoked = scene.revoke(id).await?;
        let mut rest = Vec::new();
        let ((), ended) = tokio::join!(
            async { while flows && backend.chunk("and more").await.is_ok() {} },
            timeout(PATIENCE, client.0.read_to_end(&mut rest)),
        );
        check_within_the_lease(revoked);
        // Whether the end is a reset or not: it is not that of the chunks.
        ended?.ok();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "half of it looks whole");
    }
    Ok(())
}

#[tokio::test]
async fn bytes_go_no_longer_than_their_key_may_send_them() -> anyhow::Result<()> {
    let scene = Scene::open_with(&[SHORT_LEASE]).await?;
    let (id, key) = scene.key_of("ann").await?;
    let line = "POST /api/v1/import-core?id=a";
    let mut client = scene.begin_as(&key, line, "Content-Length: 99\r\n").await?;
    client.send("first").await?;
    let mut backend = scene.upstream.accept().await?;
    until(&mut backend, "first").await?;
    let revoked = scene.revoke(id).await?;
    let told = until(&mut client, "\r\n\r\n").await?;
    assert!(told.starts_with("HTTP/1.1 403 "), "{told}");
    check_within_the_lease(revoked);
    backend.closed().await
}

#[tokio::test]
async fn who_may_not_is_refused_on_each_of_them() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (_, reader) = scene.tollgate.user("ann", "reader").await?;
    let (_, writer) = scene.tollgate.user("ada", "writer").await?;
    let (_, foreign) = scene.tollgate.user_in("acme", "eve", "writer").await?;
    let admin = scene.tollgate.admin_key.as_str();
    let error = |text: &str| json!({ "error": text }).to_string();
    for (method, path, name) in [
        ("GET", "/api/v1/document-stream", "document-id"),
        ("GET", "/api/v1/export-core", "id"),
        ("POST", "/api/v1/import-core", "id"),
    ] {
        let check = async |query: &str, token: Option<&str>, expect: (u16, &str)| {
            let answer = scene.ask(method, &format!("{path}?{query}"), token).await?;
            assert_eq!((answer.status, answer.body), (expect.0, error(expect.1)), "{path} {query}");
            anyhow::Ok(())
        };
        let (masked, denied) = ((401, "auth failure"), (403, "access denied"));
        let named = |workspace: &str| format!("{name}=a&{workspace}");
        check(&named(""), None, masked).await?;
        check(&named(""), Some("tg_no"), masked).await?;
        // A credential in the URL is none here.
        check(&named(&format!("token={admin}")), None, masked).await?;
        for spelled in ["workspace=acme", "%77orkspace=acme", "workspace=%61cme", "workspace=ghost"]
        {
            check(&named(spelled), Some(&writer), denied).await?;
        }
        check(&named("workspace=default"), Some(&foreign), denied).await?;
        check(
            &named("workspace=default&workspace=acme"),
            Some(&writer),
            (400, "a parameter is repeated"),
        )
        .await?;
        check(&named("workspace=ghost"), Some(admin), (404, "workspace not found")).await?;
        let required = format!("{name} required");
        check("workspace=default", Some(&writer), (400, &required)).await?;
        check(&format!("{name}="), Some(&writer), (400, &required)).await?;
        check(&format!("{name}=a&{name}=b"), Some(&writer), (400, "a parameter is repeated"))
            .await?;
    }
    let import = scene.ask("POST", "/api/v1/import-core?id=a", Some(&reader)).await?;
    assert_eq!(import.status, 403, "a reader writes nothing");
    for who in [&reader, &writer, &foreign] {
        let metrics = scene.ask("GET", "/api/metrics/query?query=up", Some(who)).await?;
        assert_eq!((metrics.status, metrics.body), (403, error("access denied")));
    }
    assert_eq!(scene.ask("GET", "/api/metrics/query", None).await?.status, 401);

    // Of all these none has reached the backend: the first to come there is one who may.
    let (answer, backend) =
        tokio::join!(scene.ask("GET", "/api/v1/export-core?id=mine", Some(&foreign)), async {
            let (mut backend, asked) = scene.upstream.posted().await?;
            backend.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            anyhow::Ok(asked)
        });
    assert_eq!(answer?.status, 200);
    assert_eq!(backend?.line, "GET /b/?x=1&id=mine&workspace=acme HTTP/1.1");
    Ok(())
}

#[tokio::test]
async fn a_backend_that_fails_is_told_apart() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let admin = Some(scene.tollgate.admin_key.as_str());
    for (answer, expect) in [
        ("404 Not Found", (404, "not found")),
        ("503 Service Unavailable", (503, "unavailable")),
        ("500 Internal Server Error", (502, "the backend failed")),
        ("301 Moved Permanently\r\nlocation: http://evil/", (502, "the backend failed")),
        ("200 OK\r\ncontent-encoding: gzip", (502, "the backend failed")),
    ] {
        let backend = async {
            let (mut backend, _) = scene.upstream.posted().await?;
            backend.send(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n")).await
        };
        let (told, answered) =
            tokio::join!(scene.ask("GET", "/api/v1/document-stream?document-id=a", admin), backend);
        answered?;
        let told = told?;
        let expect = (expect.0, json!({ "error": expect.1 }).to_string());
        assert_eq!((told.status, told.body), expect, "{answer}");
    }
    let Scene { tollgate, upstream } = scene;
    drop(upstream);
    let bearer = [("Authorization", format!("Bearer {}", tollgate.admin_key))];
    let gone = raw::http(tollgate.address, "GET", "/api/v1/export-core?id=a", &bearer, b"").await?;
    assert_eq!(gone.status, 503);
    let gone = raw::http(tollgate.address, "GET", "/api/metrics/query", &bearer, b"").await?;
    assert_eq!((gone.status, &*gone.body), (502, "502: Bad Gateway"));
    Ok(())
}

#[tokio::test]
async fn metrics_are_read_and_nothing_else_of_prometheus() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let admin = Some(scene.tollgate.admin_key.as_str());
    let bad = r#"{"status":"error","errorType":"bad_data"}"#;
    for (path, answer, expect) in [
        ("query?query=rate(x%5B1m%5D)", r#"{"status":"success"}"#, 200),
        ("label/__name__/values", "{}", 200),
        ("series?match%5B%5D=up", bad, 400),
    ] {
        let backend = async {
            let (mut backend, asked) = scene.upstream.posted().await?;
            assert_eq!(asked.line, format!("GET /api/v1/{path} HTTP/1.1"));
            assert_eq!(asked.headers["tollgate-service"], "metrics");
            assert!(!asked.headers.contains_key("tollgate-workspace"));
            let status = if expect == 200 { "200 OK" } else { "400 Bad Request" };
            let length = answer.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{answer}");
            backend.send(head).await
        };
        let path = format!("/api/metrics/{path}");
        let (told, answered) = tokio::join!(scene.ask("GET", &path, admin), backend);
        answered?;
        let told = told?;
        assert_eq!((told.status, &*told.body), (expect, answer));
        assert_eq!(told.headers["content-type"], "text/plain; charset=utf-8");
    }
    for path in [
        "",
        "/",
        "/targets",
        "/admin/tsdb/snapshot",
        "/query/../targets",
        "/%71uery",
        "/label/a/b/values",
    ] {
        let answer = scene.ask("GET", &format!("/api/metrics{path}"), admin).await?;
        assert_eq!((answer.status, &*answer.body), (404, "404: Not Found"), "{path}");
    }
    let bare = Tollgate::start().await?;
    let bearer = [("Authorization", format!("Bearer {}", bare.admin_key))];
    let answer = raw::http(bare.address, "GET", "/api/metrics/query", &bearer, b"").await?;
    let none = json!({ "error": "no backend is configured for metrics" }).to_string();
    assert_eq!((answer.status, answer.body), (503, none));
    Ok(())
}
