use std::io;
use std::os::unix::fs::PermissionsExt;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
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
    let server = async { acceptor.accept(listener.accept().await?.0).await };
    let (client, _server): (io::Result<_>, io::Result<_>) = tokio::join!(client, server);
    client.is_ok()
}

#[tokio::test(start_paused = true)]
async fn files_that_change_are_read_again_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_pair(&folder);
    let settings = TlsSettings {
        certificate_file: folder.path().join("cert.pem"),
        key_file: folder.path().join("key.pem"),
    };
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
