//! TLS to a gateway (RFC 8446, 5246): whom we trust to be one.
//!
//! In: nothing, or a file of certificates. Out: the configuration of a connection that goes only to
//! a server whose certificate is for its name and was issued by one of those.
//! Never: a switch that turns the check off.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or holds something else.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate that can be used.
    #[error("{0}: there is no certificate in it that can be used")]
    Empty(String),
    /// This machine has none.
    #[error("this machine trusts no certificates: install them, or name a file in SSL_CERT_FILE")]
    NoneHere,
    /// The library refuses what it was given.
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
}

/// Trusts the certificates of a PEM file and no others; without one, those that this machine
/// trusts (on Unix, `SSL_CERT_FILE` and `SSL_CERT_DIR` say where they are).
pub fn trust(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    configure(ca_file.map_or_else(roots_of_machine, roots_of_file)?)
}

/// For connections in clear through a library that wants to be told anyway.
pub fn trust_nobody() -> Result<Arc<ClientConfig>, TrustError> {
    configure(RootCertStore::empty())
}

fn configure(roots: RootCertStore) -> Result<Arc<ClientConfig>, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, TrustError> {
    let name = path.display().to_string();
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TrustError::File { path: name.clone(), source })?;
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(TrustError::Empty(name)),
        _ => Ok(roots),
    }
}

fn roots_of_machine() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    // Those that cannot be read are passed over: the others serve.
    match roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs) {
        (0, _) => Err(TrustError::NoneHere),
        _ => Ok(roots),
    }
}
