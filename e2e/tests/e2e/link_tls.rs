//! The link between gateway and IAM under TLS, each a process of its own: what it carries, and that
//! nothing is asked of whoever does not prove to be IAM.

mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tollgate_e2e::certificate::Certificate;
use tollgate_e2e::process::{PATIENCE, Started};
use tollgate_e2e::raw::{self, Received, Socket};

use stage::Stage;

/// Connections to this address pass through here, and are counted.
async fn counted(to: SocketAddr) -> anyhow::Result<(u16, Arc<AtomicUsize>, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (port, count) = (listener.local_addr()?.port(), Arc::<AtomicUsize>::default());
    let (mut tasks, counter) = (JoinSet::new(), Arc::clone(&count));
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut gateway, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            connections.spawn(async move {
                let Ok(mut iam) = TcpStream::connect(to).await else { return };
                // Whoever ends it has ended it.
                let _ = copy_bidirectional(&mut gateway, &mut iam).await;
            });
        }
    });
    Ok((port, count, tasks))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_and_news_go_over_few_connections_under_tls() -> anyhow::Result<()> {
    const ROUNDS: usize = 20;
    let (stage, certificate) = (Stage::new()?, Certificate::new()?);
    let iam = stage.iam(Some(&certificate))?;
    let (port, connections, _tasks) = counted(iam.address).await?;
    let gateway = stage.gateway(&format!("https://localhost:{port}"), Some(&certificate))?;
    let admin = raw::claim(gateway.address).await?;
    let whoami = raw::operate(gateway.address, &admin, &json!({ "operation": "whoami" })).await?;
    for round in 0..ROUNDS {
        let name = round.to_string();
        let key = json!({ "user_id": whoami["user"]["id"], "name": name });
        let made = json!({ "operation": "create-api-key", "key": key });
        let made = raw::operate(gateway.address, &admin, &made).await?;
        let key = made["api_key_plaintext"].as_str().unwrap_or_default();
        let mut socket = Socket::authenticated(gateway.address, key).await?;
        socket.call(json!(1), json!({ "prompt": "hello" })).await?;
        assert_eq!(socket.frame().await?["response"]["response"], "hello");
        // The news of it come over the feed.
        let revoke = json!({ "operation": "revoke-api-key", "key_id": made["api_key"]["id"] });
        raw::operate(gateway.address, &admin, &revoke).await?;
        socket.call(json!(2), json!({ "prompt": "hello" })).await.ok();
        loop {
            match socket.next().await? {
                Received::Frame(frame) => assert_eq!(frame.get("response"), None, "{frame}"),
                Received::Closed(code) => break assert_eq!(code, 4403),
                Received::Gone => break,
            }
        }
    }
    let connections = connections.load(Ordering::Relaxed);
    assert!(connections < ROUNDS, "{connections} connections for {ROUNDS} rounds");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_asked_of_whoever_does_not_prove_to_be_iam() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let (certificate, expired) = (Certificate::new()?, Certificate::expired()?);
    let iam = stage.iam(Some(&certificate))?;
    let (aged, clear) = (stage.iam(Some(&expired))?, stage.iam(None)?);
    let another_name = format!("https://127.0.0.1:{}", iam.address.port());
    for (url, trusted, reason) in [
        (iam.url(), &Certificate::new()?, "invalid peer certificate: "),
        (another_name, &certificate, "certificate not valid for name"),
        (aged.url(), &expired, "certificate expired"),
        (clear.url(), &certificate, "the other side speaks in clear, and not TLS"),
    ] {
        let gateway = stage.gateway(&url, Some(trusted))?;
        assert!(!gateway.can_ask().await?, "{url}");
        let said = gateway.started.said_until("operation of iam failed");
        assert!(said.last().is_some_and(|line| line.contains(reason)), "{said:?}");
    }
    // Of two nodes the one that is not ours is passed over, wherever the gateway begins.
    let nodes = format!("{},{}", aged.url(), iam.url());
    for _ in 0..4 {
        let gateway = stage.gateway(&nodes, Some(&certificate))?;
        assert!(gateway.can_ask().await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_in_clear_gets_nothing_from_an_iam_under_tls() -> anyhow::Result<()> {
    let (stage, certificate) = (Stage::new()?, Certificate::new()?);
    let iam = stage.iam(Some(&certificate))?;
    let gateway = stage.gateway(&format!("http://{}", iam.address), Some(&certificate))?;
    assert!(!gateway.can_ask().await?);
    let said = iam.started.said_until("a TLS handshake on iam.listen failed");
    let told = said.last().is_some_and(|line| {
        line.contains(" WARN ") && line.contains("the other side speaks in clear, and not TLS")
    });
    assert!(told, "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_replaced_is_shown_without_a_restart() -> anyhow::Result<()> {
    let (stage, certificate) = (Stage::new()?, Certificate::new()?);
    let before = Certificate::new()?;
    std::fs::copy(certificate.path("cert.pem"), before.path("cert.pem"))?;
    let iam = stage.iam(Some(&certificate))?;
    let first = stage.gateway(&iam.url(), Some(&before))?;
    assert!(first.can_ask().await?);
    // As many as there is room for, and none of them begins a handshake.
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(iam.address).await?);
    }
    certificate.replace_by(&Certificate::new()?)?;
    iam.started.said_until("iam.tls: the certificate was read again");
    for mut stream in silent {
        let ended = timeout(PATIENCE, stream.read_u8()).await?;
        assert!(ended.is_err(), "it had its time");
    }

    let second = stage.gateway(&iam.url(), Some(&certificate))?;
    assert!(second.can_ask().await?);
    // Its connections go on; a new one would be refused.
    assert!(first.can_ask().await?);
    let late = stage.gateway(&iam.url(), Some(&before))?;
    assert!(!late.can_ask().await?);
    Ok(())
}

#[test]
fn what_makes_no_link_is_said_before_the_start() -> anyhow::Result<()> {
    let (stage, certificate) = (Stage::new()?, Certificate::new()?);
    let (cert, key) = (certificate.file("cert.pem"), certificate.file("key.pem"));
    let tls = [("IAM__TLS__CERTIFICATE_FILE", &*cert), ("IAM__TLS__KEY_FILE", &*key)];
    let beyond = [("IAM__LISTEN", "0.0.0.0:0"), ("IAM__BOOTSTRAP_ALLOW_REMOTE", "true")];
    let said = |name: &str, settings: &[&[(&str, &str)]]| {
        let mut command = stage.program(name, &settings.concat())?;
        anyhow::Ok(Started::start(command.arg("--check-config")).wait(PATIENCE))
    };
    let fine = (Some(0), vec![]);
    let refused = |name: &str, sentence: &str| (Some(2), vec![format!("{name}: {sentence}")]);

    let iam = "tollgate-iam";
    assert_eq!(said(iam, &[&tls, &beyond])?, fine);
    let sentence = "iam.listen = 0.0.0.0:0 is not a loopback address and has no TLS: set [iam.tls], \
                    or iam.allow_plaintext = true if that is meant";
    assert_eq!(said(iam, &[&beyond])?, refused(iam, sentence));
    let sentence = "iam.tls.certificate_file and iam.tls.key_file must be set together";
    assert_eq!(said(iam, &[&tls[..1]])?, refused(iam, sentence));

    let url = ("IAM__PEER_URL", "https://iam.example:8090");
    assert_eq!(said(iam, &[&[url, ("LINK__CA_FILE", &cert)]])?, fine);
    let sentence = "iam.peer_url is https:// and needs link.ca_file: the certificates, PEM, under \
                    which nodes of IAM prove their names";
    assert_eq!(said(iam, &[&[url]])?, refused(iam, sentence));
    let sentence = "iam.peer_url is not a URL like \"http://127.0.0.1:9000/\"";
    assert_eq!(said(iam, &[&[("IAM__PEER_URL", "10.0.0.1:8090")]])?, refused(iam, sentence));

    let gateway = "tollgate-gateway";
    let url = ("GATEWAY__IAM_URL", "http://127.0.0.1:8090, https://iam.example:8090");
    assert_eq!(said(gateway, &[&[url, ("LINK__CA_FILE", &cert)]])?, fine);
    let sentence = "gateway.iam_url: \"https://iam.example:8090\" needs link.ca_file: the \
                    certificates, PEM, under which IAM proves its name";
    assert_eq!(said(gateway, &[&[url]])?, refused(gateway, sentence));
    let sentence = format!("link.ca_file: {key}: there is no certificate in it");
    let ca_file = ("LINK__CA_FILE", &*key);
    assert_eq!(said(gateway, &[&[url, ca_file]])?, refused(gateway, &sentence));
    Ok(())
}
