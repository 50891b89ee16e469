//! `tg call`, against a server on a real socket that answers every call alike.

use std::process::Output;
use std::sync::{Arc, Mutex};

use expect_test::expect;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{binary, check, run, server};

/// The frames that answer a call: what follows the id.
type Script = &'static [&'static str];

/// Runs `tg call` against a server that follows the script; what it told, and what it sent.
fn call(script: Script, args: &[&str], stdin: &str) -> (Output, Vec<Value>) {
    let http = server(404, "");
    let listener = http.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    tasks.spawn_on(serve(listener, script, Arc::clone(&sent)), http.runtime.handle());
    let args = [&["call", "--api-url", &url], args].concat();
    let mut command = http.tg(&binary(), &args);
    let output = run(command.env("TOLLGATE_WORKSPACE", "research"), stdin);
    (output, std::mem::take(&mut *sent.lock().unwrap()))
}

async fn serve(listener: TcpListener, script: Script, sent: Arc<Mutex<Vec<Value>>>) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    while let Some(Ok(Message::Text(text))) = socket.next().await {
        let frame: Value = serde_json::from_str(&text).unwrap();
        let answers: Vec<_> = match frame.get("id") {
            Some(id) => script.iter().map(|rest| format!(r#"{{"id":{id},{rest}}}"#)).collect(),
            None => vec![r#"{"type":"auth-ok","default_workspace":"default"}"#.to_owned()],
        };
        sent.lock().unwrap().push(frame);
        for answer in answers {
            socket.send(Message::text(answer)).await.unwrap();
        }
    }
}

fn frame(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

const HELLO: Script = &[r#""response":{"response":"hello, you","in_token":3},"complete":true"#];
const CHUNKS: Script = &[
    r#""response":{"response":"hel"},"complete":false"#,
    r#""response":{"response":"lo"},"complete":false"#,
    r#""response":{"response":"","end_of_stream":true},"complete":false"#,
    r#""response":{"in_token":3},"complete":true"#,
];
const RECORD: Script = &[r#""response":{"values":[{"key":"a"}]},"complete":true"#];

#[test]
fn the_first_call_needs_no_flags() {
    let (output, sent) = call(HELLO, &["text-completion", r#"{"prompt":"hello"}"#], "");
    check(
        &output,
        &expect![[r#"
        exit 0
        out:
        hello, you
        err:
    "#]],
    );
    let expect = r#"{"id":"c-1","service":"text-completion","flow":"default","workspace":"research","request":{"prompt":"hello"}}"#;
    assert_eq!(sent, [frame(expect)]);
}

#[test]
fn an_operation_goes_without_a_flow_and_after_the_credential() {
    let args = ["config", "--operation", "list", "-", "-w", "w", "-t", "tg_x", "--deadline", "30s"];
    let (output, sent) = call(RECORD, &args, r#"{"type":"prompt"}"#);
    check(
        &output,
        &expect![[r#"
        exit 0
        out:
        {
          "values": [
            {
              "key": "a"
            }
          ]
        }
        err:
        warning: a token on the command line is visible to other users; use TOLLGATE_TOKEN or tg login --save
    "#]],
    );
    let auth = r#"{"type":"auth","token":"tg_x"}"#;
    let call = r#"{"id":"c-1","service":"config","workspace":"w","deadline_ms":30000,"request":{"operation":"list","type":"prompt"}}"#;
    assert_eq!(sent, [frame(auth), frame(call)]);
}

#[test]
fn a_stream_is_shown_as_it_comes() {
    let (output, sent) = call(CHUNKS, &["text-completion", "--stream"], "");
    check(
        &output,
        &expect![[r#"
        exit 0
        out:
        hello
        err:
    "#]],
    );
    assert_eq!(sent[0]["request"], frame(r#"{"streaming":true}"#));
    let (output, _) = call(CHUNKS, &["text-completion", "--stream", "--json"], "");
    check(
        &output,
        &expect![[r#"
        exit 0
        out:
        {"response":"hel"}
        {"response":"lo"}
        {"response":"","end_of_stream":true}
        {"in_token":3}
        err:
    "#]],
    );
    let (output, _) = call(CHUNKS, &["text-completion", "--json"], "");
    check(
        &output,
        &expect![[r#"
        exit 0
        out:
        {"in_token":3}
        err:
    "#]],
    );
}

#[test]
fn a_refusal_and_a_failure_end_with_1() {
    let refused: Script =
        &[r#""error":{"type":"auth-required","message":"auth failure"},"complete":true"#];
    check(
        &call(refused, &["text-completion"], "").0,
        &expect![[r#"
        exit 1
        out:
        err:
        Exception: auth-required: auth failure
        hint: no token was given; use tg login --save, TOLLGATE_TOKEN or --token
    "#]],
    );
    let failed: Script = &[
        r#""response":{"response":"hel"},"complete":false"#,
        r#""response":{"error":{"type":"llm-error","message":"out of tokens"}},"complete":true"#,
    ];
    check(
        &call(failed, &["text-completion", "--stream"], "").0,
        &expect![[r#"
        exit 1
        out:
        hel
        err:
        Exception: llm-error: out of tokens
    "#]],
    );
}

#[test]
fn a_deadline_is_kept() {
    let args = ["text-completion", "--deadline", "50ms"];
    check(
        &call(&[], &args, "").0,
        &expect![[r#"
        exit 1
        out:
        err:
        Exception: no answer within 50ms
    "#]],
    );
}

#[test]
fn what_is_no_request_ends_with_2_and_asks_nobody() {
    for args in [
        ["text-completion", "hello"].as_slice(),
        &["config", "--operation", "list", r#"{"operation":"put"}"#],
        &["text-completion", "--deadline", "30"],
        &[],
    ] {
        let (output, sent) = call(HELLO, args, "");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(sent.is_empty() && output.stdout.is_empty() && !output.stderr.is_empty());
    }
}
