//! The log: what an operator finds in it, and what nobody may find there.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tollgate_e2e::PASSWORD;
use tollgate_e2e::process::Server;
use tollgate_e2e::raw::{Socket, http};

use crate::{SOON, folder};

/// What clients send and nobody may read.
const SECRETS: [&str; 4] =
    ["hunter2 hunter2 hunter2", "tg_wrongwrongwrong", "tg_inthequery", "the words of a prompt"];
/// What would end a line, or colour it, or turn it round.
const CONTROLS: &str = "\r\n\u{1b}[31m\u{7f}\u{9b}31m\u{202e}";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// What a process said while clients did everything in which a secret is said, and the secrets.
async fn drive(format: &str) -> Result<Vec<String>> {
    let folder = folder();
    let mut command = folder.command();
    command.env("TOLLGATE_LOG__LEVEL", "trace").env("TOLLGATE_LOG__FORMAT", format);
    command.env("TOLLGATE_GATEWAY__COMPAT__URL_TOKEN", "true");
    let server = Server::start(&mut command);
    let [password, wrong_key, in_query, words] = SECRETS;
    let key = server.claim();

    let user = json!({ "username": "ann", "password": PASSWORD, "roles": ["admin"] });
    let create = json!({ "operation": "create-user", "workspace": "default", "user": user });
    assert_eq!(server.post("/api/v1/iam", &key, &create)?.0, 200);
    let login = |name: &str, password| json!({ "username": name, "password": password });
    let path = "/api/v1/auth/login";
    assert_eq!(server.post(path, "", &login("ann", password))?.0, 401);
    assert_eq!(server.post(path, "", &login(&format!("ann{CONTROLS}"), password))?.0, 401);
    let (status, session) = server.post(path, "", &login("ann", PASSWORD))?;
    assert_eq!(status, 200);
    let token = session["jwt"].as_str().context("no token")?.to_owned();
    let change = json!({ "current_password": password, "new_password": password });
    server.post("/api/v1/auth/change-password", &token, &change)?;
    server.post("/api/v1/iam", wrong_key, &json!({ "operation": "whoami" }))?;
    let echo = json!({ "prompt": words });
    let service = "/api/v1/flow/default/service/text-completion";
    assert_eq!(server.post(service, &token, &echo)?.0, 200);
    http(server.address, "GET", &format!("/no?token={in_query}"), &[], b"").await?;

    Socket::open_with(server.address, &format!("?token={in_query}"), &[]).await?.leave().await?;
    let mut socket = Socket::open(server.address).await?;
    socket.auth(wrong_key).await?;
    socket.auth(&token).await?;
    let mut call = json!({
        "id": format!("one{}", &CONTROLS[4..]), "service": "text-completion", "flow": "default",
        "request": echo, "traceparent": format!("00-{TRACE}-b7ad6b7169203331-01"),
    });
    socket.send(&call).await?;
    assert_eq!(socket.frame().await?["complete"], true);
    call["workspace"] = "elsewhere".into();
    socket.send(&call).await?;
    assert_eq!(socket.frame().await?["error"]["trace_id"], TRACE);
    call["service"] = CONTROLS.into();
    socket.send(&call).await?;
    assert_eq!(socket.frame().await?["error"]["trace_id"], TRACE);
    socket.send_text(&format!("{{\"{words}{CONTROLS}")).await?;
    let made = socket.frame().await?["error"]["trace_id"].as_str().context("no trace")?.to_owned();
    assert!(made.len() == 32 && made != TRACE, "{made}");
    socket.leave().await?;

    let (status, said) = server.terminate(SOON);
    assert_eq!(status, Some(0));
    let mut secrets = SECRETS.map(str::to_owned).to_vec();
    secrets.extend([PASSWORD.to_owned(), key, token]);
    for line in &said {
        let told = secrets.iter().find(|secret| line.contains(secret.as_str()));
        assert_eq!(told, None, "in {line}");
        assert!(!line.contains(|c: char| c.is_ascii_control()), "{line:?}");
    }
    assert!(said.iter().any(|line| line.contains("frame refused") && line.contains(&made)));
    Ok(said)
}

fn find<'a>(said: &'a [String], message: &str, part: &str) -> &'a str {
    let found = said.iter().find(|line| line.contains(message) && line.contains(part));
    found.unwrap_or_else(|| panic!("no {message:?} with {part:?} in {said:#?}"))
}

/// The fields of a line, without those whose values no test can know.
fn fields(line: &str) -> Value {
    let mut line: Value = serde_json::from_str(line).unwrap();
    let object = line.as_object_mut().unwrap();
    for known in ["timestamp", "level", "target", "message"] {
        object.remove(known).unwrap();
    }
    for id in ["conn.id", "principal"] {
        if let Some(id) = object.get_mut(id) {
            assert_eq!(id.as_str().unwrap().len(), 36, "{id}");
            *id = "…".into();
        }
    }
    for number in ["duration_ms", "received.bytes", "sent.bytes"] {
        if let Some(number) = object.get_mut(number) {
            assert!(number.is_u64(), "{number}");
            *number = 0.into();
        }
    }
    object.remove("duration_ms").unwrap();
    line
}

#[tokio::test]
async fn programs_find_each_call_and_each_connection() -> Result<()> {
    let said = drive("json").await?;
    let id = json!(format!("one{}", &CONTROLS[4..])).to_string();
    let mut call = json!({
        "conn.id": "…", "request.id": id, "trace.id": TRACE, "operation": "text-completion",
        "workspace": "default", "principal": "…", "backend": "echo", "outcome": "ok",
    });
    assert_eq!(fields(find(&said, "call ended", TRACE)), call);
    call["workspace"] = "elsewhere".into();
    call["outcome"] = "workspace-not-found".into();
    // What the caller is not told.
    call["reason"] = "it would be allowed, and the workspace is not there".into();
    assert_eq!(fields(find(&said, "call ended", "elsewhere")), call);
    assert_eq!(
        fields(find(&said, "connection closed", "\"calls\":2")),
        json!({
            "conn.id": "…", "client.address": "127.0.0.1", "principal": "…", "code": 0,
            "reason": "client", "calls": 2, "received.messages": 6, "received.bytes": 0,
            "sent.messages": 6, "sent.bytes": 0,
        })
    );
    let route = "/api/v1/flow/{flow}/service/{*kind}";
    let request = fields(find(&said, "http request ended", route));
    assert_eq!((&request["route"], &request["status"]), (&json!(route), &json!(200)));
    // Its call has no connection of ours, and the name that its caller was told.
    let of_http = fields(find(&said, "call ended", request["request.id"].as_str().unwrap()));
    assert_eq!(
        of_http,
        json!({
            "request.id": request["request.id"], "operation": "text-completion",
            "workspace": "default", "principal": "…", "backend": "echo", "outcome": "ok",
        })
    );
    Ok(())
}

#[tokio::test]
async fn people_read_whole_lines() -> Result<()> {
    let said = drive("text").await?;
    let hidden = |c: char| c.is_control() || c == '\u{202e}';
    assert!(!said.iter().any(|line| line.contains(hidden)), "{said:#?}");
    let line = find(&said, "call ended", TRACE);
    for part in [
        "DEBUG call ended conn.id=",
        r#"request.id="\"one31m\u{7f}\u{9b}31m\u{202e}\""#,
        r#" operation="text-completion" workspace="default" principal="#,
        r#" backend="echo" outcome="ok" duration_ms="#,
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    Ok(())
}
