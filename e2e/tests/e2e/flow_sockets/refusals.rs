//! What is refused is refused before the upgrade, and no byte of it reaches a backend.

use serde_json::json;
use tokio::net::TcpStream;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::{Tollgate, raw};

use super::{Scene, refused, stanzas};

const UNKNOWN_KEY: &str = "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2";

fn error(text: &str) -> String {
    json!({ "error": text }).to_string()
}

#[tokio::test]
async fn who_may_not_is_refused_however_it_is_spelled() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let tollgate = &scene.tollgate;
    let (_, writer) = tollgate.user("ada", "writer").await?;
    let (_, reader) = tollgate.user("ann", "reader").await?;
    let (_, foreign) = tollgate.user_in("acme", "eve", "writer").await?;
    let admin = &tollgate.admin_key;
    let (masked, denied) = ((401, error("auth failure")), (403, error("access denied")));
    let check = async |way: &str, query: &str, expect: &(u16, String)| {
        assert_eq!(&refused(&scene.url(way, query)).await?, expect, "{way} {query}");
        anyhow::Ok(())
    };
    for way in ["import", "export"] {
        for nobody in ["", "token=", "token=hello", &format!("token={UNKNOWN_KEY}"), "x=1"] {
            check(way, nobody, &masked).await?;
        }
        check(way, &format!("token={writer}&token={writer}"), &masked).await?;
        for workspace in [
            "workspace=acme",
            "workspace=%61cme",
            "%77orkspace=acme",
            "workspace=&workspace=acme",
            "workspace=ghost",
        ] {
            let expect = if workspace.matches("workspace").count() == 2 {
                &(400, error("a parameter is repeated"))
            } else {
                &denied
            };
            check(way, &format!("token={writer}&{workspace}"), expect).await?;
            check(way, &format!("{workspace}&t%6Fken={writer}"), expect).await?;
        }
        check(way, &format!("token={foreign}&workspace=default"), &denied).await?;
        let repeated = format!("token={writer}&workspace=default&%77orkspace=acme");
        check(way, &repeated, &(400, error("a parameter is repeated"))).await?;
        let ghost = format!("token={admin}&workspace=ghost");
        check(way, &ghost, &(404, error("workspace not found"))).await?;
        let no_name = refused(&scene.url(way, &format!("token={admin}&workspace=a/b"))).await?;
        assert_eq!(no_name.0, 400);
    }
    check("import", &format!("token={reader}"), &denied).await?;

    // Of all these none has reached the backend: the first to come there is one who may.
    let (_client, _backend, asked) = scene.join("export", &foreign).await?;
    assert_eq!(asked.headers["tollgate-workspace"], "acme");
    Ok(())
}

#[tokio::test]
async fn paths_are_matched_as_they_were_sent() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let check = async |path: &str, expect: (u16, &str)| {
        let url =
            format!("ws://{}{path}?token={}", scene.tollgate.address, scene.tollgate.admin_key);
        let (status, body) = refused(&url).await?;
        assert_eq!((status, &*body), expect, "{path}");
        anyhow::Ok(())
    };
    let (unknown, nothing) = (error("unknown kind"), "404: Not Found");
    check("/api/v1/flow/default/import/nope", (404, &unknown)).await?;
    // Rows go in, and there is no export of them.
    check("/api/v1/flow/default/export/rows", (404, &unknown)).await?;
    check("/api/v1/flow/default/import/%74riples", (404, &unknown)).await?;
    check("/api/v1/flow/default/%69mport/triples", (404, nothing)).await?;
    check("/api/v1/flow/default/import/triples/", (404, nothing)).await?;
    check("/api/v1/flow/default/import/a/b", (404, nothing)).await?;
    let no_flow = error("a flow id must be 1 to 128 bytes without control characters");
    check("/api/v1/flow/a%07b/import/triples", (400, &no_flow)).await?;
    check("/api/v1/flow//import/triples", (400, &no_flow)).await?;
    let no_text = error("the flow is not UTF-8");
    check("/api/v1/flow/%ff/import/triples", (400, &no_text)).await?;
    check("/api/v1/flow/default/import/%ff", (404, &unknown)).await
}

#[tokio::test]
async fn a_backend_that_does_not_take_it_is_told_before_the_upgrade() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let url = scene.url("import", &format!("token={}", scene.tollgate.admin_key));
    for (answer, expect) in [
        ("HTTP/1.1 404 Not Found\r\n", (404, "not found")),
        ("HTTP/1.1 503 Service Unavailable\r\n", (503, "unavailable")),
        ("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n", (429, "too many requests")),
        ("HTTP/1.1 401 Unauthorized\r\n", (502, "the backend failed")),
        ("HTTP/1.1 200 OK\r\n", (502, "the backend failed")),
        (
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            (502, "the backend failed"),
        ),
        ("nonsense\r\n", (502, "the backend failed")),
    ] {
        let backend = async {
            let (mut line, _) = scene.upstream.posted().await?;
            line.send(&format!("{answer}content-length: 0\r\n\r\n")).await
        };
        let (told, answered) = tokio::join!(refused(&url), backend);
        answered?;
        assert_eq!(told?, (expect.0, error(expect.1)), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_backend_nothing_is_upgraded() -> anyhow::Result<()> {
    let dead = tollgate_e2e::upstream::Upstream::listen().await?.address;
    let tollgate = Tollgate::start_with_registry(&stanzas(&format!("http://{dead}/"), "")).await?;
    let at = |kind: &str| {
        let key = &tollgate.admin_key;
        format!("ws://{}/api/v1/flow/default/import/{kind}?token={key}", tollgate.address)
    };
    assert_eq!(refused(&at("triples")).await?, (503, error("unavailable")));
    let none = "no backend is configured for import/rows";
    assert_eq!(refused(&at("rows")).await?, (503, error(none)));
    Ok(())
}

#[tokio::test]
async fn what_came_in_clear_or_from_a_foreign_page_is_refused() -> anyhow::Result<()> {
    let settings = [
        ("gateway.require_tls", "true"),
        ("gateway.proxies", r#"["127.0.0.1"]"#),
        ("gateway.origins", r#"["https://app.example.com"]"#),
    ];
    let scene = Scene::open_with("", &settings[2..]).await?;
    let address = scene.tollgate.address;
    let token = format!("token={}", scene.tollgate.admin_key);
    let ask = async |address, origin: &str| {
        let handshake = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Origin", origin),
        ];
        let headers = handshake.map(|(name, value)| (name, value.to_owned()));
        let path = format!("/api/v1/flow/default/export/triples?{token}");
        let answer = raw::http(address, "GET", &path, &headers, b"").await?;
        anyhow::Ok((answer.status, answer.body))
    };
    assert_eq!(ask(address, "https://evil.org").await?, (403, error("access denied")));
    let (answer, backend) =
        tokio::join!(ask(address, "https://app.example.com"), scene.upstream.socket());
    backend?;
    assert_eq!(answer?.0, 101);
    let strict = Tollgate::start_unclaimed(&settings).await?;
    assert_eq!(ask(strict.address, "https://app.example.com").await?, (403, error("tls required")));
    Ok(())
}

#[tokio::test]
async fn a_bearer_header_does_as_well() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let bearer = format!("Bearer {}", scene.tollgate.admin_key);
    let stream = TcpStream::connect(scene.tollgate.address).await?;
    let (url, headers) = (scene.url("export", ""), [("authorization", &*bearer)]);
    let opened = Socket::open_over(stream, &url, &headers);
    let (client, backend) = tokio::join!(opened, scene.upstream.socket());
    let (mut client, (mut backend, asked)) = (client?, backend?);
    assert!(!asked.headers.contains_key("authorization"), "it goes no further");
    backend.send_text("{}").await?;
    assert_eq!(client.text().await?, "{}");
    Ok(())
}
