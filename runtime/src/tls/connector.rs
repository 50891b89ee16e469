//! TLS to a server of ours, which proves its name under certificates that the operator chose.
//!
//! In: a PEM file, then connections. Out: the same connections under TLS.
//! Never: trust in anybody else, or a switch that turns the check off.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{HandshakeError, TlsError};
use crate::stream::Stream;

/// What it takes to talk to servers under the certificates of this PEM file, and those issued under
/// them.
pub fn trust(ca_file: &Path) -> Result<ClientConfig, TlsError> {
    read_trust(ca_file).map(|(_, config)| config)
}

fn read_trust(ca_file: &Path) -> Result<(Vec<CertificateDer<'static>>, ClientConfig), TlsError> {
    let trusted = super::read_certificates(ca_file)?;
    let mut roots = RootCertStore::empty();
    // A bundle may hold some of a kind that nobody uses any more.
    if roots.add_parsable_certificates(trusted.iter().cloned()).0 == 0 {
        return Err(TlsError::NoCertificate(ca_file.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((trusted, config))
}

/// Does the handshakes with servers under certain certificates.
#[derive(Clone)]
pub struct Connector {
    trusted: Arc<[CertificateDer<'static>]>,
    tls: TlsConnector,
}

impl Connector {
    /// Trusts the certificates of this PEM file, and those issued under them.
    pub fn trusting(ca_file: &Path) -> Result<Self, TlsError> {
        let (trusted, mut config) = read_trust(ca_file)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { trusted: trusted.into(), tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Does a handshake with the server of this name or address. The caller says how long it may
    /// take.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> Result<Stream, HandshakeError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Stream::Tls(Box::new(self.tls.connect(name, stream).await?.into())))
    }
}

/// Two that trust the same are the same.
impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        self.trusted == other.trusted
    }
}

impl Eq for Connector {}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("trusted", &self.trusted.len()).finish_non_exhaustive()
    }
}
