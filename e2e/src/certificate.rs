//! A certificate that signs itself, and a Tollgate that shows it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::Tollgate;

/// A certificate for `localhost` and its key, in files that end with the value.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// A new one, known to nobody.
    pub fn new() -> anyhow::Result<Self> {
        Self::with(|_| {})
    }

    /// One whose time is over.
    pub fn expired() -> anyhow::Result<Self> {
        Self::with(|parameters| parameters.not_after = rcgen::date_time_ymd(2001, 1, 1))
    }

    fn with(change: impl FnOnce(&mut CertificateParams)) -> anyhow::Result<Self> {
        let certificate = Self { folder: tempfile::tempdir()? };
        let mut parameters = CertificateParams::new(["localhost".to_owned()])?;
        change(&mut parameters);
        let key = KeyPair::generate()?;
        let made = parameters.self_signed(&key)?;
        std::fs::write(certificate.path("cert.pem"), made.pem())?;
        let file = certificate.path("key.pem");
        std::fs::write(&file, key.serialize_pem())?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        Ok(certificate)
    }

    /// Puts another one in the place of this one, in the same files.
    pub fn replace_by(&self, other: &Self) -> anyhow::Result<()> {
        for name in ["key.pem", "cert.pem"] {
            std::fs::rename(other.path(name), self.path(name))?;
        }
        Ok(())
    }

    /// `cert.pem` and `key.pem`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path as a setting.
    pub fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A Tollgate under this certificate, which nobody has claimed.
    pub async fn start(&self, more: &[(&'static str, &str)]) -> anyhow::Result<Tollgate> {
        let (cert, key) = (self.file("cert.pem"), self.file("key.pem"));
        let tls = [("gateway.tls.certificate_file", &*cert), ("gateway.tls.key_file", &*key)];
        Tollgate::start_unclaimed(&[&tls, more].concat()).await
    }
}
