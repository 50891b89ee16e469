use std::sync::Arc;

use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tollgate_proto::ids::UserId;
use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::files::write_new_secret;
use tollgate_runtime::tls::{Acceptor, TlsSettings};

use super::*;
use crate::feed::Feed;
use crate::journal::{Standing, laws};
use crate::nodes::beat::Beat;

const SECRET: &str = "a secret";
const NOW_MS: u64 = 1_800_000_000_000;
const FOUND: &str = r#"{"found":{"00000000-0000-0000-0000-000000000001":{"ask":"00000000-0000-0000-0000-000000000002","count":3}},"silent":["00000000-0000-0000-0000-000000000003"]}"#;

fn peers(url: &str, digit: &str) -> Peers {
    let seal = Seal::new(&SecretString::from(digit.repeat(64))).unwrap();
    Peers::new(url, None, seal, SecretString::from(SECRET), ManualClock::at_ms(NOW_MS))
}

/// What a node says of itself.
fn row(of: &Peers) -> NodeRow {
    row_at(of, of.now_us())
}

fn row_at(of: &Peers, beat: u64) -> NodeRow {
    NodeRow {
        node: of.node,
        version: String::new(),
        format: 1,
        beat,
        peer_url: of.sealed_url(beat).unwrap(),
        standing: Standing::default(),
    }
}

fn about() -> About {
    About::User(UserId(Uuid::nil()))
}

/// A listener, and the node that is there.
async fn listen() -> (TcpListener, Peers) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/iam/", listener.local_addr().unwrap());
    (listener, peers(&url, "a"))
}

/// Reads a question and writes these bytes.
async fn answer(listener: &TcpListener, bytes: &str) -> String {
    answer_over(listener.accept().await.unwrap().0, bytes).await
}

async fn answer_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &str) -> String {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\"}}") {
        assert!(stream.read_buf(&mut asked).await.unwrap() > 0);
    }
    stream.write_all(bytes.as_bytes()).await.unwrap();
    String::from_utf8(asked).unwrap()
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_node_is_asked_under_the_secret() {
    let (listener, there) = listen().await;
    let (here, rows) = (peers("", "a"), [row(&there)]);
    let about = about();
    let said = http("200 OK", FOUND);
    let (survey, asked) = tokio::join!(here.survey(&rows, &about), answer(&listener, &said));
    assert_eq!((survey.found.len(), survey.silent.len(), survey.silent_nodes), (1, 1, 0));
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /iam/v1/survey HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nauthorization: Bearer {SECRET}\r\n")), "{head}");
    let PeerAsk { node, about } = serde_json::from_str(body).unwrap();
    assert_eq!((node, about), (there.node, self::about()));
}

#[tokio::test]
async fn the_secret_goes_to_no_address_that_was_not_sealed_for_the_row() {
    let (listener, there) = listen().await;
    let url = format!("http://{}", listener.local_addr().unwrap());
    let written = NodeRow { peer_url: Some(Sealed(url.clone())), ..row(&there) };
    let of_another = NodeRow { node: Uuid::now_v7(), ..row(&there) };
    let later = NodeRow { beat: there.now_us() + 1, ..row(&there) };
    let foreign = row(&peers(&url, "b"));
    let silent = row(&peers("", "a"));
    let rows = [written, of_another, later, foreign, silent];
    let survey = peers("", "a").survey(&rows, &about()).await;
    assert_eq!((survey.found.len(), survey.silent_nodes), (0, 5));
    assert!(listener.accept().now_or_never().is_none(), "somebody was asked");
}

#[tokio::test]
async fn each_row_that_a_node_writes_says_where_it_is_in_its_own_way() {
    let [node] = laws::Node::sharing();
    let there = Arc::new(peers("http://there", "a"));
    let feed = Feed::begin(&node.state, DEADLINE).unwrap();
    let mut beat = Beat::new(there, Arc::clone(&node.journal), feed);
    let here = peers("", "a");
    let mut before = None;
    for _ in 0..3 {
        beat.first().await.unwrap();
        let row = node.journal.nodes().await.unwrap().remove(0);
        assert_eq!(here.url_of(&row).unwrap(), "http://there");
        let put_back = before.replace(row.peer_url.clone()).map(|peer_url| {
            let row = NodeRow { peer_url, ..row };
            here.url_of(&row)
        });
        assert!(matches!(put_back, None | Some(Err(Unheard::Foreign(_)))), "{put_back:?}");
    }
}

#[tokio::test]
async fn a_node_is_not_asked_whose_row_is_not_of_about_now() {
    let (listener, there) = listen().await;
    let (here, about) = (peers("", "a"), about());
    let (now, apart) = (here.now_us(), u64::try_from(APART.as_micros()).unwrap());
    let rows = [row_at(&there, now - apart - 1), row_at(&there, now + apart + 1)];
    assert_eq!(here.survey(&rows, &about).await.silent_nodes, 2);
    assert!(listener.accept().now_or_never().is_none(), "somebody was asked");
    for beat in [now - apart, now + apart] {
        let (rows, said) = ([row_at(&there, beat)], http("200 OK", FOUND));
        let (survey, _) = tokio::join!(here.survey(&rows, &about), answer(&listener, &said));
        assert_eq!(survey.silent_nodes, 0);
    }
}

#[tokio::test]
async fn a_node_that_answers_anything_else_is_silent() {
    let (listener, there) = listen().await;
    let (here, rows, about) = (peers("", "a"), [row(&there)], about());
    for said in [
        http("421 Misdirected Request", ""),
        http("503 Service Unavailable", FOUND),
        http("200 OK", "{}"),
        http("200 OK", FOUND).replace("Content-Length: ", "Content-Length: 1"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_ANSWER + 1),
        "HTTP/1.1 200".to_owned(),
        String::new(),
    ] {
        let (survey, _) = tokio::join!(here.survey(&rows, &about), answer(&listener, &said));
        assert_eq!((survey.found.len(), survey.silent_nodes), (0, 1), "{said}");
    }
}

/// A certificate for `localhost` in a folder, what shows it, and what trusts it alone.
fn certificate() -> (TempDir, Arc<Acceptor>, Connector) {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate_file, key_file) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&certificate_file, made.cert.pem()).unwrap();
    write_new_secret(&key_file, &made.signing_key.serialize_pem()).unwrap();
    let trusted = Connector::trusting(&certificate_file).unwrap();
    let tls = TlsSettings { certificate_file, key_file };
    (folder, tls.open("iam.tls").unwrap().unwrap(), trusted)
}

#[tokio::test]
async fn a_node_under_tls_is_asked_if_it_proves_its_name() {
    let (_folder, acceptor, trusted) = certificate();
    let (_other_folder, _, other) = certificate();
    let (listener, _) = listen().await;
    let port = listener.local_addr().unwrap().port();
    let (there, about) = (peers(&format!("https://localhost:{port}"), "a"), about());
    let said = http("200 OK", FOUND);
    let here = |trusted| Peers { trusted, ..peers("", "a") };
    let rows = [row(&there)];
    for (trusted, heard) in [(trusted, 1), (other, 0)] {
        let here = here(Some(trusted));
        let answer = async {
            let stream = listener.accept().await.unwrap().0;
            Some(answer_over(acceptor.accept(stream, DEADLINE).await.ok()?, &said).await)
        };
        let (survey, asked) = tokio::join!(here.survey(&rows, &about), answer);
        assert_eq!((survey.found.len(), survey.silent_nodes), (heard, 1 - heard));
        assert_eq!(asked.is_some(), heard == 1);
    }
    let survey = here(None).survey(&rows, &about).await;
    assert_eq!((survey.found.len(), survey.silent_nodes), (0, 1));
    assert!(listener.accept().now_or_never().is_none(), "nobody is trusted");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_for_a_node() {
    let (_listener, there) = listen().await;
    let begun = Instant::now();
    let survey = peers("", "a").survey(&[row(&there)], &about()).await;
    assert_eq!((survey.silent_nodes, begun.elapsed()), (1, DEADLINE));
}
