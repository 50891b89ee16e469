use std::io;
use std::os::unix::fs::PermissionsExt;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;

/// Writes a new certificate for `localhost` and its key, and gives the certificate.
fn write_pair(folder: &TempDir) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    made.cert.der().clone()
}

fn settings(folder: &TempDir) -> TlsSettings {
    let path = |name| folder.path().join(name);
    TlsSettings { certificate_file: path("cert.pem"), key_file: path("key.pem") }
}

/// Whether a client that trusts only this certificate gets through.
async fn connects(acceptor: &Acceptor, trusted: &CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = async {
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let server = async { acceptor.accept(listener.accept().await?.0, EVERY).await };
    let (client, _server): (io::Result<_>, Result<_, HandshakeError>) =
        tokio::join!(client, server);
    client.is_ok()
}

#[tokio::test(start_paused = true)]
async fn files_that_change_are_read_again_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_pair(&folder);
    let settings = settings(&folder);
    let acceptor = settings.open("gateway.tls").unwrap().unwrap();
    let life = Lifecycle::new();
    acceptor.watch(&life);
    assert!(connects(&acceptor, &first).await);

    std::fs::write(&settings.certificate_file, "no certificate").unwrap();
    tokio::time::sleep(EVERY * 2).await;
    assert!(connects(&acceptor, &first).await, "the one in force stays");

    let second = write_pair(&folder);
    tokio::time::sleep(EVERY * 2).await;
    assert!(connects(&acceptor, &second).await);
    assert!(!connects(&acceptor, &first).await);

    // A key that others may read is refused, and taken once its owner has done what the log says.
    let mode = |mode| {
        std::fs::set_permissions(&settings.key_file, std::fs::Permissions::from_mode(mode))
            .unwrap();
    };
    let third = write_pair(&folder);
    mode(0o644);
    tokio::time::sleep(EVERY * 2).await;
    assert!(!connects(&acceptor, &third).await);
    mode(0o600);
    tokio::time::sleep(EVERY * 2).await;
    assert!(connects(&acceptor, &third).await);
}

/// A listener and a connection to it.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn whoever_speaks_in_clear_is_said_to() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(&folder);
    let acceptor = settings(&folder).open("iam.tls").unwrap().unwrap();
    let (mut client, server) = pair().await;
    client.write_all(b"POST /v1/call HTTP/1.1\r\nHost: iam\r\n\r\n").await.unwrap();
    let refused = acceptor.accept(server, EVERY).await.unwrap_err();
    assert!(matches!(refused, HandshakeError::InClear), "{refused}");

    let connector = Connector::trusting(&folder.path().join("cert.pem")).unwrap();
    let (client, mut server) = pair().await;
    server.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let refused = connector.connect("localhost", client).await.unwrap_err();
    assert!(matches!(refused, HandshakeError::InClear), "{refused}");

    // Whoever is gone without a word spoke neither.
    let (client, server) = pair().await;
    drop(client);
    let refused = acceptor.accept(server, EVERY).await.unwrap_err();
    assert!(matches!(refused, HandshakeError::Failed(_)), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_ends_in_time() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(&folder);
    let acceptor = settings(&folder).open("iam.tls").unwrap().unwrap();
    let (_client, server) = pair().await;
    let refused = acceptor.accept(server, EVERY).await.unwrap_err();
    assert!(matches!(refused, HandshakeError::TooSlow(_)), "{refused}");
}
