//! Requests that share a connection share nothing else.

use serde_json::{Value, json};
use tollgate_e2e::Tollgate;

use super::Line;

fn whoami(authorization: &str) -> String {
    let body = r#"{"operation":"whoami"}"#;
    let head =
        format!("POST /api/v1/iam HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", body.len());
    format!("{head}{authorization}\r\n{body}")
}

#[tokio::test]
async fn each_request_is_answered_in_its_turn_as_its_own_caller() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (_, ann) = tollgate.user("ann", "reader").await?;
    let bearer = |key: &str| format!("Authorization: Bearer {key}\r\n");
    let callers = [
        (bearer(&tollgate.admin_key), Some("admin")),
        (bearer(&ann), Some("ann")),
        (String::new(), None),
        (bearer(&tollgate.admin_key), Some("admin")),
        (bearer("tg_nobody"), None),
        (format!("Authorization: Basic {ann}\r\n"), None),
        ("Authorization:\r\n".to_owned(), None),
        (bearer(&ann), Some("ann")),
    ];
    let requests: Vec<_> = callers.iter().map(|(head, _)| whoami(head)).collect();
    // One after the other on one connection, then all of them in one write.
    for pipelined in [false, true] {
        let mut line = Line::open(tollgate.address).await?;
        if pipelined {
            line.write(requests.concat().as_bytes()).await?;
        }
        for (request, (head, name)) in requests.iter().zip(&callers) {
            if !pipelined {
                line.write(request.as_bytes()).await?;
            }
            let answer = line.answer().await?;
            let body: Value = serde_json::from_str(&answer.body)?;
            match name {
                Some(name) => {
                    assert_eq!((answer.status, &body["user"]["username"]), (200, &json!(name)));
                }
                None => {
                    assert_eq!((answer.status, body), (401, json!({ "error": "auth failure" })));
                }
            }
            assert_eq!(answer.headers["cache-control"], "no-store", "{head}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_ends_the_connection_ends_the_pipeline() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let admin = format!("Authorization: Bearer {}\r\n", tollgate.admin_key);
    let mut line = Line::open(tollgate.address).await?;
    let requests =
        [whoami(&admin), whoami(&format!("{admin}Connection: close\r\n")), whoami(&admin)];
    line.write(requests.concat().as_bytes()).await?;
    assert_eq!(line.answer().await?.status, 200);
    assert_eq!(line.answer().await?.status, 200);
    line.ended().await?;

    // A refused head takes what is behind it along.
    let mut line = Line::open(tollgate.address).await?;
    let doubled = whoami(&format!("{admin}{admin}"));
    line.write([doubled, whoami(&admin)].concat().as_bytes()).await?;
    assert_eq!(line.answer().await?.status, 400);
    line.ended().await
}
