//! The public listener under TLS, and behind a proxy that ends it.

use std::os::unix::fs::PermissionsExt;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tollgate_client::{Client, Config, ConnectError, Request, tls};
use tollgate_e2e::certificate::Certificate;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::{Tollgate, echo};

/// A connection that trusts this certificate and no other.
async fn connect(
    certificate: &Certificate,
    tollgate: &Tollgate,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let trusted = tls::trust(Some(&certificate.path("cert.pem")))?;
    let stream = TcpStream::connect(tollgate.address).await?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(trusted).connect(name, stream).await?)
}

/// One HTTP request over any stream: head and JSON.
async fn post(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    path: &str,
    headers: &str,
) -> anyhow::Result<(String, Value)> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    Ok((head.to_ascii_lowercase(), serde_json::from_str(body)?))
}

#[tokio::test]
async fn requests_and_sockets_under_tls() -> anyhow::Result<()> {
    let certificate = Certificate::new()?;
    // Under TLS it is secure, so that this refuses nobody.
    let tollgate = certificate.start(&[("gateway.require_tls", "true")]).await?;
    let stream = connect(&certificate, &tollgate).await?;
    let (head, reply) = post(stream, "/api/v1/auth/bootstrap", "").await?;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("strict-transport-security: max-age=31536000"), "{head}");
    let key = reply["bootstrap_admin_api_key"].as_str().context("no key")?;

    let stream = connect(&certificate, &tollgate).await?;
    let mut socket = Socket::open_over(stream, "wss://localhost/api/v1/socket", &[]).await?;
    assert_eq!(socket.auth(key).await?["type"], "auth-ok");
    // More than TLS puts into one record, and more than one write takes.
    let prompt = "x".repeat(1 << 20);
    socket.call(json!(1), json!({ "prompt": prompt })).await?;
    assert_eq!(socket.frame().await?["response"]["response"], prompt);
    Ok(())
}

#[tokio::test]
async fn the_sdk_goes_only_to_whom_it_trusts() -> anyhow::Result<()> {
    let certificate = Certificate::new()?;
    let tollgate = certificate.start(&[]).await?;
    let stream = connect(&certificate, &tollgate).await?;
    let (_, reply) = post(stream, "/api/v1/auth/bootstrap", "").await?;
    let key = reply["bootstrap_admin_api_key"].as_str().context("no key")?;
    let config = |host: &str, trusted: &Certificate| {
        let url = format!("https://{host}:{}/", tollgate.address.port());
        let ca_file = Some(trusted.path("cert.pem"));
        Config { ca_file, ..Config::new(url).token(key.to_owned()) }
    };
    let client = Client::connect(config("localhost", &certificate)).await?;
    assert!(client.call(echo("hello")?).await?.get().contains("hello"));

    let refused = async |config| match Client::connect(config).await {
        Err(ConnectError::Handshake { source, .. }) => anyhow::Ok(source.to_string()),
        other => anyhow::bail!("{other:?}"),
    };
    let stranger = refused(config("localhost", &Certificate::new()?)).await?;
    assert!(stranger.contains("UnknownIssuer") || stranger.contains("BadSignature"), "{stranger}");
    let another_name = refused(config("127.0.0.1", &certificate)).await?;
    assert!(another_name.contains("not valid for name"), "{another_name}");

    let nowhere = Config { ca_file: Some("/nowhere".into()), ..config("localhost", &certificate) };
    let error = Client::connect(nowhere).await.err().context("it connected")?.to_string();
    assert!(error.starts_with("/nowhere: "), "{error}");
    let no_certificate =
        Config { ca_file: Some(certificate.path("key.pem")), ..config("localhost", &certificate) };
    let error = Client::connect(no_certificate).await.err().context("it connected")?.to_string();
    assert!(error.ends_with("there is no certificate in it that can be used"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_service_behind_tls_has_to_prove_its_name() -> anyhow::Result<()> {
    let certificate = Certificate::new()?;
    let service = certificate.start(&[]).await?;
    let tollgate = async |host: &str, trusted: &Certificate| {
        let port = service.address.port();
        Tollgate::start_with_registry(&format!(
            "[backend.status]\ntype = \"http\"\nca_file = {:?}\n\
             urls = [\"https://{host}:{port}/api/v1/auth/bootstrap-status\"]\n\
             [flow-service.status]\ncapability = \"llm\"\nbackend = \"status\"\n",
            trusted.file("cert.pem")
        ))
        .await
    };
    let status = || anyhow::Ok(Request::new("status", &json!({}))?.flow("default"));
    let known = tollgate("localhost", &certificate).await?;
    let client = known.client().await?;
    for _ in 0..2 {
        let answer = client.call(status()?).await?;
        assert_eq!(serde_json::from_str::<Value>(answer.get())?["bootstrap_available"], true);
    }
    for unproven in [
        tollgate("localhost", &Certificate::new()?).await?,
        tollgate("127.0.0.1", &certificate).await?,
    ] {
        let refused = unproven.client().await?.call(status()?).await.err().context("an answer")?;
        assert!(refused.to_string().contains("unavailable"), "{refused}");
    }
    let unsaid = "[flow-service.x]\ncapability = \"llm\"\nbackend = \"https://localhost/\"\n";
    let refused = Tollgate::start_with_registry(unsaid).await.err().context("it started")?;
    assert!(refused.to_string().contains("no ca_file says whose"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_client_in_clear_gets_nothing_from_a_listener_with_tls() -> anyhow::Result<()> {
    let certificate = Certificate::new()?;
    let tollgate = certificate.start(&[]).await?;
    let mut stream = TcpStream::connect(tollgate.address).await?;
    stream.write_all(b"GET /api/v1/socket HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    // A reset is an end as good as any.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    // And the listener serves on.
    assert!(connect(&certificate, &tollgate).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_proxy_must_say_that_it_ended_tls() -> anyhow::Result<()> {
    let settings = [("gateway.require_tls", "true"), ("gateway.proxies", r#"["127.0.0.1"]"#)];
    let tollgate = Tollgate::start_unclaimed(&settings).await?;
    let ask = async |headers: &str| {
        let stream = TcpStream::connect(tollgate.address).await?;
        let (head, reply) = post(stream, "/api/v1/auth/bootstrap-status", headers).await?;
        anyhow::Ok((head.split(' ').nth(1).unwrap_or_default().to_owned(), reply))
    };
    let refused = ("403".to_owned(), json!({"error": "tls required"}));
    assert_eq!(ask("").await?, refused);
    assert_eq!(ask("X-Forwarded-Proto: http\r\n").await?, refused);
    assert_eq!(ask("X-Forwarded-Proto: https\r\n").await?.0, "200");

    let mut socket = Socket::open(tollgate.address).await?;
    assert_eq!(socket.close().await?, (vec![], 1008));
    Ok(())
}

#[tokio::test]
async fn files_that_make_no_tls_fail_the_start() -> anyhow::Result<()> {
    let certificate = Certificate::new()?;
    let (cert, key) = (certificate.file("cert.pem"), certificate.file("key.pem"));
    let check = async |settings: &[(&'static str, &str)], expect: &str| {
        let error = Tollgate::start_unclaimed(settings).await.err().context("it started")?;
        anyhow::ensure!(error.to_string().contains(expect), "{error}");
        Ok(())
    };
    let (certificate_file, key_file) = ("gateway.tls.certificate_file", "gateway.tls.key_file");
    check(&[(certificate_file, &cert)], "must be set together").await?;
    check(&[(certificate_file, "/nowhere"), (key_file, &key)], "/nowhere").await?;
    check(&[(certificate_file, &key), (key_file, &key)], "there is no certificate in it").await?;
    let other = Certificate::new()?;
    let other = other.file("key.pem");
    check(&[(certificate_file, &cert), (key_file, &other)], "cannot be used").await?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))?;
    check(&[(certificate_file, &cert), (key_file, &key)], "others may read it").await?;
    check(&[("gateway.require_tls", "true")], "gateway.require_tls needs").await?;
    let iam = [("iam.tls.certificate_file", &*cert), ("iam.tls.key_file", &*other)];
    check(&iam, "tollgate's own gateway needs gateway.iam_url").await?;
    Ok(())
}

#[tokio::test]
async fn tollgate_asks_its_own_iam_under_tls_by_its_name() -> anyhow::Result<()> {
    let certificate = Certificate::new()?;
    let (cert, key) = (certificate.file("cert.pem"), certificate.file("key.pem"));
    // The name in the certificate has a port behind it, so that it is known before the start: one
    // below those that the system hands out.
    let free = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let port = (12_000..20_000).find(|port| free(*port)).context("no port")?;
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("https://localhost:{port}"));
    let tollgate = Tollgate::start_with(&[
        ("iam.listen", &listen),
        ("iam.tls.certificate_file", &cert),
        ("iam.tls.key_file", &key),
        ("gateway.iam_url", &url),
        ("link.ca_file", &cert),
    ])
    .await?;
    let client = tollgate.client().await?;
    assert!(client.call(echo("hello")?).await?.get().contains("hello"));
    Ok(())
}
