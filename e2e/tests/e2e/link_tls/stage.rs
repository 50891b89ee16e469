//! `tollgate-iam` and `tollgate-gateway` as processes of their own, between which there is TLS, or
//! something else.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::json;
use tempfile::TempDir;
use tollgate_e2e::certificate::Certificate;
use tollgate_e2e::process::Started;
use tollgate_e2e::raw;
use tollgate_runtime::files::write_new_secret;

use crate::program;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What processes of one deployment share.
pub(super) struct Stage {
    folder: TempDir,
}

/// A process that listens.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) started: Started,
}

impl Stage {
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        write_new_secret(&folder.path().join("secret"), SECRET)?;
        // No file of the folder in which the tests run is read.
        std::fs::write(folder.path().join("tollgate.toml"), "")?;
        Ok(Self { folder })
    }

    /// One of the programs, with settings that any of them needs or leaves.
    pub(super) fn program(&self, name: &str, settings: &[(&str, &str)]) -> anyhow::Result<Command> {
        let mut command = Command::new(program::built(name)?);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        let own = [
            ("GATEWAY__LISTEN", "127.0.0.1:0"),
            ("GATEWAY__ADMIN_LISTEN", "127.0.0.1:0"),
            ("IAM__LISTEN", "127.0.0.1:0"),
            ("IAM__ADMIN_LISTEN", "127.0.0.1:0"),
            ("IAM__BOOTSTRAP_MODE", "bootstrap"),
            ("IAM__PASSWORD__ROUNDS", "100000"),
            ("LINK__SECRET_FILE", "secret"),
        ];
        for (setting, value) in own.iter().chain(settings) {
            command.env(format!("TOLLGATE_{setting}"), value);
        }
        Ok(command)
    }

    /// An IAM, under this certificate if there is one.
    pub(super) fn iam(&self, shown: Option<&Certificate>) -> anyhow::Result<Service> {
        let data = tempfile::tempdir_in(self.folder.path())?.keep();
        let mut command = self.program("tollgate-iam", &[])?;
        command.arg("--data-dir").arg(data.join("data"));
        if let Some(certificate) = shown {
            command.env("TOLLGATE_IAM__TLS__CERTIFICATE_FILE", certificate.path("cert.pem"));
            command.env("TOLLGATE_IAM__TLS__KEY_FILE", certificate.path("key.pem"));
        }
        Service::start(&mut command, "iam is listening")
    }

    /// A gateway that asks there, and trusts this certificate alone.
    pub(super) fn gateway(
        &self,
        iam_url: &str,
        trusted: Option<&Certificate>,
    ) -> anyhow::Result<Service> {
        let mut command = self.program("tollgate-gateway", &[("GATEWAY__IAM_URL", iam_url)])?;
        if let Some(certificate) = trusted {
            command.env("TOLLGATE_LINK__CA_FILE", certificate.path("cert.pem"));
        }
        Service::start(&mut command, "the gateway is listening")
    }
}

impl Service {
    fn start(command: &mut Command, listening: &str) -> anyhow::Result<Self> {
        let started = Started::start(command);
        let said = started.said_until(listening);
        let line = said.last().context("nothing")?;
        let address = line.split(' ').find_map(|word| word.strip_prefix("address="));
        Ok(Self { address: address.context("no address")?.parse()?, started })
    }

    /// Where it is, by the name that certificates have.
    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Of a gateway: whether IAM can be asked through it, and says that nobody has claimed it.
    pub(super) async fn can_ask(&self) -> anyhow::Result<bool> {
        let path = "/api/v1/auth/bootstrap-status";
        let (status, said) = raw::post(self.address, path, None, b"{}").await?;
        match status {
            200 => ensure!(said["bootstrap_available"] == true, "{said}"),
            503 => ensure!(said == json!({ "error": "unavailable" }), "{said}"),
            other => anyhow::bail!("{other} {said}"),
        }
        Ok(status == 200)
    }
}
