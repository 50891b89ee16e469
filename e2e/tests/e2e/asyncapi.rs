//! `docs/asyncapi.json` has the frames, errors, close codes and limits of the code, and no others.
//!
//! That no other frame is seen is the [`Witness`]'s, through which all clients of these tests go;
//! here it is shown to complain.

use std::collections::BTreeMap;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tollgate_e2e::packages;
use tollgate_e2e::protocol::Protocol;
use tollgate_e2e::raw::{Received, Socket};
use tollgate_e2e::witness::Witness;
use tollgate_proto::close::CloseCode;
use tollgate_proto::error::ErrorKind;
use tollgate_proto::frame::Feature;
use tollgate_proto::frame::client::{MAX_ID, MAX_SERVICE};
use tollgate_proto::json::Limits;

/// The golden frames, by the name of their file.
fn golden() -> anyhow::Result<BTreeMap<String, Value>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/golden");
    std::fs::read_dir(folder)?
        .map(|entry| {
            let path = entry?.path();
            let name = path.file_stem().context("no name")?.to_string_lossy().into_owned();
            Ok((name, serde_json::from_str(&std::fs::read_to_string(path)?)?))
        })
        .collect()
}

#[test]
fn the_examples_are_the_golden_frames_and_each_is_one_message() -> anyhow::Result<()> {
    let protocol = Protocol::read()?;
    let mut shown = BTreeMap::new();
    for message in protocol.client().iter().chain(protocol.server()) {
        let documented = &protocol.json["components"]["messages"][&message.name];
        assert_eq!(documented["name"], *message.name);
        for example in documented["examples"].as_array().into_iter().flatten() {
            let frame = &example["payload"];
            assert!(message.is(frame), "{:#?}", message.problems(frame));
            let name = example["name"].as_str().context("no name")?.to_owned();
            shown.insert(name, frame.clone());
        }
    }
    assert_eq!(shown, golden()?);
    for (name, frame) in &shown {
        for side in [protocol.client(), protocol.server()] {
            let kinds: Vec<_> =
                side.iter().filter(|one| one.is(frame)).map(|one| &one.name).collect();
            assert!(kinds.len() < 2, "{name} is {kinds:?}");
        }
    }
    let all = protocol.json["components"]["messages"].as_object().context("no messages")?;
    let channel = &protocol.json["channels"]["socket"]["messages"];
    assert_eq!(protocol.client().len() + protocol.server().len(), all.len(), "all are used");
    let references = all.keys().map(|name| format!("#/components/messages/{name}"));
    let references = all.keys().cloned().zip(references.map(|to| json!({ "$ref": to })));
    assert_eq!(channel, &Value::Object(references.collect()));
    Ok(())
}

#[test]
fn errors_close_codes_features_and_limits_are_those_of_the_tables() -> anyhow::Result<()> {
    let json = &Protocol::read()?.json;
    let schemas = &json["components"]["schemas"];
    let without_words = |list: &Value| -> anyhow::Result<Vec<Value>> {
        let mut list = list.as_array().context("no list")?.clone();
        for entry in &mut list {
            let words = entry.as_object_mut().and_then(|entry| entry.remove("description"));
            assert!(words.is_some_and(|words| words.is_string()), "{entry} says nothing");
        }
        Ok(list)
    };
    let errors = ErrorKind::ALL.iter().map(|kind| {
        json!({
            "properties": {
                "type": { "const": kind.as_str() },
                "retryable": { "const": kind.retryable() },
            },
            "x-http-status": kind.http_status(),
        })
    });
    assert_eq!(without_words(&schemas["Error"]["oneOf"])?, errors.collect::<Vec<_>>());
    let codes = CloseCode::ALL.iter().map(|code| {
        json!({
            "properties": {
                "code": { "const": code.code() },
                "reason": { "const": code.reason() },
                "reconnect": { "const": code.reconnect().as_str() },
            },
        })
    });
    assert_eq!(without_words(&schemas["Closing"]["oneOf"])?, codes.collect::<Vec<_>>());
    let features: Vec<_> = Feature::ALL.iter().map(|one| one.as_str()).collect();
    assert_eq!(schemas["AuthOk"]["properties"]["features"]["items"]["enum"], json!(features));

    let empty = tempfile::NamedTempFile::new()?;
    let flags = tollgate_runtime::config::Flags {
        file: Some(empty.path().to_owned()),
        ..tollgate_runtime::config::Flags::default()
    };
    let settings: tollgate::Settings =
        tollgate_runtime::config::load(&tollgate::DEFAULTS, &flags, [])?;
    let limits = &settings.gateway.limits;
    let of = |bytes: usize, limits: Limits| json!({ "message_bytes": bytes, "nesting": limits.depth, "tokens": limits.tokens });
    let expect = json!({
        // A test of `auth` has the number of bytes.
        "stranger": of(16 << 10, Limits::STRANGER),
        "friend": of(limits.max_message.0, Limits::FRIEND),
        "id_bytes": MAX_ID,
        "service_bytes": MAX_SERVICE,
        "max_inflight": limits.max_inflight,
        "max_waiting": limits.max_waiting,
        "max_waiting_bytes": limits.max_waiting_bytes.0,
    });
    assert_eq!(json["channels"]["socket"]["x-limits"], expect);
    assert_eq!(json["info"]["version"], env!("CARGO_PKG_VERSION"));
    Ok(())
}

/// A server that upgrades and then says this, whatever it is asked.
async fn lie(listener: TcpListener, frames: Vec<Message>) -> anyhow::Result<()> {
    let (stream, _) = listener.accept().await?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    // The first frame of the client.
    let _ = socket.next().await;
    for frame in frames {
        socket.send(frame).await?;
    }
    // Until the client is gone.
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
    Ok(())
}

/// What a witness says when a gateway answers a frame with these.
async fn complaints(asked: &Value, frames: Vec<Message>) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let witness = Witness::before(listener.local_addr()?).await?;
    let mut liar = JoinSet::new();
    liar.spawn(lie(listener, frames));
    let mut socket = Socket::open(witness.address).await?;
    socket.send(asked).await?;
    // What is complained about does not arrive: the connection ends before.
    while let Ok(Received::Frame(_)) = socket.next().await {}
    let complaints = witness.complaints().join("\n");
    // It would panic about them.
    std::mem::forget(witness);
    Ok(complaints)
}

#[tokio::test]
async fn a_frame_that_is_not_there_is_complained_about() -> anyhow::Result<()> {
    let frames = golden()?;
    let text = |frame: &Value| Message::text(frame.to_string());
    let with = |name: &str, key: &str, value: Value| {
        let mut frame = frames[name].clone();
        frame[key] = value;
        text(&frame)
    };
    let close =
        |code: u16| Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }));
    let auth = &frames["auth"];
    let ok = || text(&frames["auth-ok"]);
    let mut broken_call = frames["call"].clone();
    broken_call["request"] = json!([]);
    let cases = [
        (auth, vec![with("auth-ok", "more", json!(1))], "auth-ok: : Additional"),
        (auth, vec![with("auth-failed", "error", json!("expired"))], "auth-failed: /error"),
        (auth, vec![text(&json!({ "type": "hello" }))], "[]"),
        (auth, vec![text(&json!([]))], "[]"),
        (auth, vec![Message::binary("{}")], "binary"),
        (auth, vec![text(&frames["response-last"])], "owed none"),
        (auth, vec![ok(), ok()], "a credential was taken"),
        (auth, vec![ok(), close(1000)], "announced as None"),
        (auth, vec![ok(), text(&frames["closing"]), close(4401)], "announced as Some(4403)"),
        (auth, vec![ok(), text(&frames["closing"]), text(&frames["pong"])], "behind closing"),
        (auth, vec![close(4999)], "a close with the code"),
        (&frames["call"], vec![with("error", "complete", json!(false))], "error: /complete"),
        (&frames["call"], vec![with("response-last", "complete", json!(1))], "response: /complete"),
        (&frames["call"], vec![text(&frames["error"]), text(&frames["error"])], "owed none"),
        (&broken_call, vec![text(&frames["response-last"])], "a call was run"),
    ];
    for (asked, answers, expect) in cases {
        let shown = format!("{answers:?}");
        let said = complaints(asked, answers).await?;
        assert!(said.contains(expect), "{shown}\nwhere {expect:?} was expected: {said:?}");
    }
    let fine = vec![ok(), text(&frames["notice"]), text(&frames["closing"]), close(4403)];
    assert_eq!(complaints(auth, fine).await?, "");
    Ok(())
}

#[tokio::test]
async fn the_document_is_valid_asyncapi() -> anyhow::Result<()> {
    let install = || packages::node(env!("CARGO_TARGET_TMPDIR"), &["@asyncapi/specs"]);
    let folder = tokio::task::spawn_blocking(install).await??;
    let file = "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json";
    let schema = serde_json::from_str(&std::fs::read_to_string(folder.join(file))?)?;
    let validator = jsonschema::draft7::new(&schema)?;
    let problems = validator.iter_errors(&Protocol::read()?.json);
    let problems: Vec<_> = problems.map(|it| format!("{}: {it}", it.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    Ok(())
}
