//! A certificate that signs itself, and a Tollgate that shows it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::Tollgate;

/// A certificate for `localhost` and its key, in files that end with the value.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// A new one, known to nobody.
    pub fn new() -> anyhow::Result<Self> {
        let certificate = Self { folder: tempfile::tempdir()? };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        std::fs::write(certificate.path("cert.pem"), made.cert.pem())?;
        let key = certificate.path("key.pem");
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        Ok(certificate)
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
