//! The package's bulk import and export, with a backend that the test plays.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::{Received, Socket};
use tollgate_e2e::upstream::{Posted, Upstream};

use super::{check_on, interpreter};

const IMPORTS: [&str; 5] =
    ["triples", "graph-embeddings", "document-embeddings", "entity-contexts", "rows"];
const EXPORTS: [&str; 4] =
    ["triples", "graph-embeddings", "document-embeddings", "entity-contexts"];

/// What came over one socket.
#[derive(Debug)]
struct Came {
    service: String,
    workspace: String,
    frames: Vec<Value>,
    code: u16,
}

#[tokio::test]
async fn the_bulk_clients_work_unchanged() -> anyhow::Result<()> {
    // First, because the backend waits only for a while.
    interpreter().await?;
    let upstream = Upstream::listen().await?;
    let url = format!("http://{}/", upstream.address);
    let stanza = |way: &str, kind: &&str| format!("[flow-{way}.{kind}]\nbackend = {url:?}\n");
    let imports = IMPORTS.iter().map(|kind| stanza("import", kind));
    let exports = EXPORTS.iter().map(|kind| stanza("export", kind));
    let stanzas: String = imports.chain(exports).collect();
    let tollgate = Tollgate::start_with_registry(&stanzas).await?;

    let mut expected = Vec::new();
    for name in ["key", "jwt"] {
        expected.push((format!("{name}: triples"), json!(["http://s/0", "http://s/1"])));
        for kind in ["graph_embeddings", "document_embeddings", "entity_contexts"] {
            expected.push((format!("{name}: {kind}"), json!([exported(0), exported(1)])));
        }
        expected.push((format!("{name}: async triples"), json!(["http://s/0", "http://s/1"])));
        expected.push((format!("{name}: async contexts"), json!([exported(0), exported(1)])));
    }
    for (why, status) in [("wrong token", 401), ("foreign", 403)] {
        let told = format!("server rejected WebSocket connection: HTTP {status}");
        for way in ["import", "export"] {
            expected.push((format!("{why}: {way}"), json!(["InvalidStatus", told])));
        }
    }
    let (queue, mut came) = mpsc::channel(64);
    // Both arms run until they are done; the backend never is.
    tokio::select! {
        checked = check_on(&tollgate, "bulk_client.py", &expected) => checked?,
        failed = serve(&upstream, queue) => failed?,
    }
    let mut frames = BTreeMap::new();
    while let Ok(came) = came.try_recv() {
        assert_eq!((&*came.workspace, came.code), ("acme", 1000), "{came:?}");
        frames.entry(came.service).or_insert_with(Vec::new).push(came.frames);
    }
    // Each with a key and with a login; the asynchronous client sends bare triples.
    let counts: BTreeMap<_, Vec<_>> = frames
        .iter()
        .map(|(service, sockets)| (&**service, sockets.iter().map(Vec::len).collect()))
        .collect();
    let expect: BTreeMap<_, Vec<usize>> = BTreeMap::from([
        ("import/document-embeddings", vec![3; 4]),
        ("import/entity-contexts", vec![1; 2]),
        ("import/graph-embeddings", vec![3; 4]),
        ("import/rows", vec![1; 2]),
        ("import/triples", vec![3, 250, 3, 250]),
    ]);
    assert_eq!(counts, expect);
    let batch = &frames["import/triples"][0][0]["triples"];
    assert_eq!(batch[0]["s"], json!({ "t": "i", "i": "http://s/0" }));
    Ok(())
}

fn exported(n: u64) -> Value {
    json!({ "s": format!("http://s/{n}") })
}

/// Takes what is imported, and exports two messages.
async fn serve(upstream: &Upstream, queue: mpsc::Sender<Came>) -> anyhow::Result<()> {
    loop {
        let (mut socket, asked) = upstream.socket().await?;
        if asked.headers["tollgate-service"].starts_with("export/") {
            for n in 0..2 {
                socket.send(&exported(n)).await?;
            }
            socket.goodbye(1000).await?;
            assert_eq!(socket.next().await?, Received::Closed(1000));
        } else {
            queue.send(take(socket, asked).await?).await?;
        }
    }
}

async fn take(mut socket: Socket, mut asked: Posted) -> anyhow::Result<Came> {
    let (frames, code) = socket.close().await?;
    let mut header = |name: &str| asked.headers.remove(name).unwrap_or_default();
    let (service, workspace) = (header("tollgate-service"), header("tollgate-workspace"));
    Ok(Came { service, workspace, frames, code })
}
