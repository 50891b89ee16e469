//! Services of the workspace and of flows, and what comes when IAM or a backend does not answer.

use std::net::TcpListener;

use serde_json::{Value, json};
use tollgate::{DEFAULTS, Settings};
use tollgate_e2e::Tollgate;
use tollgate_e2e::upstream::Upstream;
use tollgate_proto::secret::SecretString;
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::config::{self, Flags};
use tollgate_runtime::lifecycle::Lifecycle;

use super::visitor::{As, IAM, Visitor};

const KIND: &str = "POST /api/v1/{kind}";
const FLOW: &str = "POST /api/v1/flow/{flow}/service/{kind}";
const ECHO: (&str, &str) = (FLOW, "/api/v1/flow/default/service/text-completion");

/// `late` and IAM itself have no time at all.
const REGISTRY: &str = r#"
[service.mine]
backend = "echo"
operations.get = "config:read"
[service.late]
backend = "echo"
timeout = "0s"
operations.get = "flows:read"
[flow-service.late]
backend = "echo"
timeout = "0s"
capability = "cloze"
[service.iam]
timeout = "0s"
"#;

pub(super) async fn drive(visitor: &mut Visitor) -> anyhow::Result<()> {
    // On a server of their own: IAM has no time there.
    let tollgate = Tollgate::start().await?;
    let (_, reader) = tollgate.user("ann", "reader").await?;
    let admin = As(tollgate.address, Some(&tollgate.admin_key));
    let reader = As(tollgate.address, Some(&reader));
    flows(visitor, admin, reader).await?;
    kinds(visitor, admin, reader).await?;
    for (to, most) in [((IAM, "/api/v1/iam"), 64 << 10), ((KIND, "/api/v1/config"), 8 << 20)] {
        bodies(visitor, admin, to, most).await?;
    }
    bodies(visitor, admin, ECHO, 8 << 20).await?;
    // A stranger's body is not read as far as that of somebody.
    let long = vec![b' '; (64 << 10) + 1];
    let answer = visitor.send(admin.0, (KIND, "/api/v1/config"), &[], &long).await?;
    assert_eq!(answer.status, 413);
    failing(visitor).await?;
    without_time(visitor).await?;
    without_iam(visitor).await
}

async fn check(
    visitor: &mut Visitor,
    caller: As<'_>,
    to: (&str, &str),
    body: Value,
    expect: u16,
) -> anyhow::Result<()> {
    let (status, reply) = visitor.post(caller, to, &body).await?;
    anyhow::ensure!(status == expect, "{} {body}: {status} {reply}", to.1);
    Ok(())
}

async fn flows(v: &mut Visitor, admin: As<'_>, reader: As<'_>) -> anyhow::Result<()> {
    let nobody = As(admin.0, None);
    check(v, reader, ECHO, json!({ "prompt": "hello" }), 200).await?;
    check(v, reader, ECHO, json!({ "prompt": "hello", "streaming": true }), 200).await?;
    check(v, reader, (FLOW, "/api/v1/flow/default/service/thru/a/b"), json!({}), 200).await?;
    check(v, reader, (FLOW, "/api/v1/flow/d%65fault/service/agent"), json!({}), 200).await?;
    check(v, nobody, ECHO, json!({}), 401).await?;
    check(v, As(admin.0, Some("tg_no")), ECHO, json!({}), 401).await?;
    // Who asks comes before what is asked.
    assert_eq!(v.send(admin.0, ECHO, &[], b"{").await?.status, 401);
    check(v, reader, ECHO, json!({ "workspace": "ghost" }), 403).await?;
    check(v, admin, ECHO, json!({ "workspace": "ghost" }), 404).await?;
    check(v, nobody, (FLOW, "/api/v1/flow/default/service/nope"), json!({}), 404).await?;
    check(v, reader, (FLOW, "/api/v1/flow/default/service/%61gent"), json!({}), 404).await?;
    check(v, reader, (FLOW, "/api/v1/flow/other/service/agent"), json!({}), 400).await?;
    check(v, reader, (FLOW, "/api/v1/flow/%07/service/agent"), json!({}), 400).await?;
    check(v, reader, (FLOW, "/api/v1/flow/%ff/service/agent"), json!({}), 400).await?;
    check(v, nobody, (FLOW, "/api/v1/flow/%ff/service/agent"), json!({}), 401).await?;
    check(v, reader, (FLOW, "/api/v1/flow/default/service/%ff"), json!({}), 404).await?;
    check(v, reader, ECHO, json!({ "workspace": "a/b" }), 400).await?;
    check(v, reader, ECHO, json!([]), 400).await
}

async fn kinds(v: &mut Visitor, admin: As<'_>, reader: As<'_>) -> anyhow::Result<()> {
    let config = (KIND, "/api/v1/config");
    let nobody = As(admin.0, None);
    let get = json!({ "operation": "get" });
    check(v, reader, config, get.clone(), 503).await?;
    check(v, nobody, config, get.clone(), 401).await?;
    check(v, reader, config, json!({ "operation": "put" }), 403).await?;
    check(v, admin, config, json!({ "operation": "get", "workspace": "ghost" }), 404).await?;
    check(v, admin, (KIND, "/api/v1/c%6Fnfig"), get.clone(), 404).await?;
    check(v, admin, (KIND, "/api/v1/%ff"), get.clone(), 404).await?;
    check(v, admin, (KIND, "/api/v1/nope"), get, 400).await?;
    for bad in [json!({}), json!([]), json!({ "operation": "nope" }), json!({ "operation": 7 })] {
        check(v, nobody, config, bad, 400).await?;
    }
    let deep = format!(r#"{{"operation":"get","deep":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    assert_eq!(v.send(admin.0, config, &[], deep.as_bytes()).await?.status, 400);
    Ok(())
}

async fn bodies(
    visitor: &mut Visitor,
    caller: As<'_>,
    to: (&str, &str),
    most: usize,
) -> anyhow::Result<()> {
    let bearer = ("Authorization", format!("Bearer {}", caller.1.unwrap_or_default()));
    let headers = [bearer.clone(), ("Content-Encoding", "gzip".to_owned())];
    assert_eq!(visitor.send(caller.0, to, &headers, b"{}").await?.status, 415);
    let mut body = vec![b' '; most];
    let bearer = [bearer];
    assert_eq!(visitor.send(caller.0, to, &bearer, &body).await?.status, 400, "{}", to.1);
    body.push(b' ');
    assert_eq!(visitor.send(caller.0, to, &bearer, &body).await?.status, 413, "{}", to.1);
    Ok(())
}

/// What a backend that fails is answered as.
async fn failing(v: &mut Visitor) -> anyhow::Result<()> {
    let upstream = Upstream::listen().await?;
    let stanza = |name| format!("[{name}]\nbackend = \"http://{}/\"\n", upstream.address);
    let stanzas = ["service.config", "flow-service.agent"].map(stanza).concat();
    let tollgate = Tollgate::start_with_registry(&stanzas).await?;
    let bearer = [("Authorization", format!("Bearer {}", tollgate.admin_key))];
    let large = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 104857600";
    for to in [(KIND, "/api/v1/config"), (FLOW, "/api/v1/flow/default/service/agent")] {
        for (answer, expect, retry_after) in [
            ("HTTP/1.1 429 Too Many Requests", 429, None),
            ("HTTP/1.1 429 Too Many Requests\r\nretry-after: 3", 429, Some("3")),
            ("HTTP/1.1 503 Service Unavailable", 503, None),
            ("HTTP/1.1 503 Service Unavailable\r\nretry-after: 3", 503, Some("3")),
            ("HTTP/1.1 500 Internal Server Error", 502, None),
            (large, 413, None),
        ] {
            let backend = async {
                let (mut line, _) = upstream.posted().await?;
                line.send(format!("{answer}\r\nconnection: close\r\n\r\n")).await
            };
            let body = br#"{"operation":"get"}"#;
            let asked = v.send(tollgate.address, to, &bearer, body);
            let (answered, told) = tokio::join!(backend, asked);
            answered?;
            let told = told?;
            let seen = (told.status, told.headers.get("retry-after").map(String::as_str));
            assert_eq!(seen, (expect, retry_after), "{} {answer}", to.1);
        }
    }
    Ok(())
}

async fn without_time(v: &mut Visitor) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("registry.toml");
    std::fs::write(&file, REGISTRY)?;
    let file = file.display().to_string();
    let tollgate = Tollgate::start_with(&[("gateway.registry_file", &file)]).await?;
    let admin = As(tollgate.address, Some(&tollgate.admin_key));
    let get = json!({ "operation": "get" });
    check(v, admin, (KIND, "/api/v1/mine"), get.clone(), 200).await?;
    check(v, admin, (KIND, "/api/v1/late"), get, 504).await?;
    check(v, admin, (FLOW, "/api/v1/flow/default/service/late"), json!({}), 504).await?;
    v.refused(admin, json!({ "operation": "whoami" }), 504).await
}

/// A gateway whose IAM is not there.
async fn without_iam(v: &mut Visitor) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tollgate.toml");
    std::fs::write(&file, "")?;
    let gone = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let settings = vec![
        ("gateway.listen", "127.0.0.1:0".to_owned()),
        ("gateway.admin_listen", "127.0.0.1:0".to_owned()),
        ("gateway.iam_url", format!("http://{gone}")),
    ];
    let settings: Settings = config::load(&DEFAULTS, &Flags { file: Some(file), settings }, [])?;
    let life = Lifecycle::new();
    let _stop = life.stop.clone().drop_guard();
    let secret = SecretString::from("a secret that nobody will ever ask for");
    let (clock, gateway) = (SystemClock::shared(), &settings.gateway);
    let running = tollgate_gateway::start(gateway, &settings.link, &secret, clock, &life).await?;
    let nobody = As(running.address, None);
    let somebody = As(running.address, Some("tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2"));
    for path in ["bootstrap", "bootstrap-status", "login"] {
        let path = format!("/api/v1/auth/{path}");
        v.post_for(nobody, &path, json!({ "username": "a", "password": "b" }), 503).await?;
    }
    v.post_for(somebody, "/api/v1/auth/change-password", json!({}), 503).await?;
    v.refused(somebody, json!({ "operation": "whoami" }), 503).await?;
    check(v, somebody, (KIND, "/api/v1/config"), json!({ "operation": "get" }), 503).await?;
    check(v, somebody, ECHO, json!({}), 503).await
}
