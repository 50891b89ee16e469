//! TLS for a listener (RFC 8446, 5246): a certificate and its key from two files, read again when
//! they change.
//!
//! In: PEM files. Out: a [`Acceptor`] that always uses what was read last. A pair that cannot be
//! used after the start is logged, and the one before stays in force.

mod handshake;
mod connector;
#[cfg(test)]
mod tests;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub use connector::{Connector, trust};
pub use handshake::{HandshakeError, TlsFailure};

use crate::files::{self, FileError};
use crate::lifecycle::Lifecycle;
use crate::stream::Stream;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// The settings of a listener's TLS. Both are set, or neither.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate and those that it was issued under, in this order.
    pub certificate_file: PathBuf,
    /// Its private key: PKCS#8, SEC 1 or PKCS#1.
    pub key_file: PathBuf,
}

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Only one of the two files is named.
    #[error("{0}.certificate_file and {0}.key_file must be set together")]
    Half(&'static str),
    /// The key's file.
    #[error("{section}.key_file: {source}")]
    Key {
        /// The section of the configuration.
        section: &'static str,
        /// What is wrong.
        source: FileError,
    },
    /// A file holds something else.
    #[error("{path}: {source}", path = path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// The library refuses what it is made with.
    #[error("tls: {0}")]
    Library(rustls::Error),
    /// There is no certificate in the file.
    #[error("{}: there is no certificate in it", .0.display())]
    NoCertificate(PathBuf),
    /// The two do not belong together, or cannot be used.
    #[error("{section}.certificate_file and {section}.key_file cannot be used: {source}")]
    Unusable {
        /// The section of the configuration.
        section: &'static str,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// Does the handshakes of a listener.
#[derive(Debug)]
pub struct Acceptor {
    section: &'static str,
    settings: TlsSettings,
    current: ArcSwap<ServerConfig>,
}

impl TlsSettings {
    /// Whether the listener is meant to have TLS.
    pub fn is_set(&self) -> bool {
        is_named(&self.certificate_file)
    }

    /// Reads the files; none, if none are named. `section` is where the settings stand.
    pub fn open(&self, section: &'static str) -> Result<Option<Arc<Acceptor>>, TlsError> {
        match (is_named(&self.certificate_file), is_named(&self.key_file)) {
            (false, false) => Ok(None),
            (true, true) => {
                let current = ArcSwap::from_pointee(self.read(section)?);
                Ok(Some(Arc::new(Acceptor { section, settings: self.clone(), current })))
            }
            (true, false) | (false, true) => Err(TlsError::Half(section)),
        }
    }

    fn read(&self, section: &'static str) -> Result<ServerConfig, TlsError> {
        files::check_private(&self.key_file).map_err(|source| TlsError::Key { section, source })?;
        let certificates = read_certificates(&self.certificate_file)?;
        let key = PrivateKeyDer::from_pem_file(&self.key_file)
            .map_err(|source| TlsError::Pem { path: self.key_file.clone(), source })?;
        let unusable = |source| TlsError::Unusable { section, source };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Differs when a file was written, replaced, or given to others: the log may have asked for
    /// that.
    fn stamp(&self) -> [Option<(u64, i64, i64)>; 2] {
        let of = |metadata: Metadata| (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        [&self.certificate_file, &self.key_file].map(|path| path.metadata().ok().map(of))
    }
}

impl Acceptor {
    /// Does a handshake, in time. A peer that fails it is told so by TLS itself.
    pub async fn accept(
        &self,
        stream: TcpStream,
        within: Duration,
    ) -> Result<Stream, HandshakeError> {
        let handshake = TlsAcceptor::from(self.current.load_full()).accept(stream);
        match timeout(within, handshake).await {
            Ok(done) => Ok(Stream::Tls(Box::new(done?.into()))),
            Err(_) => Err(HandshakeError::TooSlow(within)),
        }
    }

    /// Reads the files again whenever they have changed, until the process stops.
    pub fn watch(self: &Arc<Self>, life: &Lifecycle) {
        let (acceptor, stop) = (Arc::clone(self), life.stop.clone());
        let mut seen = self.settings.stamp();
        life.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                // Both arms only wait.
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                let now = acceptor.settings.stamp();
                if now != seen {
                    acceptor.reload();
                    seen = now;
                }
            }
        });
    }

    fn reload(&self) {
        match self.settings.read(self.section) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                tracing::info!("{}: the certificate was read again", self.section);
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the certificate in force stays");
            }
        }
    }
}

fn is_named(file: &Path) -> bool {
    !file.as_os_str().is_empty()
}

/// The certificates of a PEM file; at least one.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}
