//! The section `[iam]` of `tollgate.toml`. Its documented defaults are in `iam/default.toml`.

mod cql;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Deserializer, Serialize};
use tollgate_runtime::tls::TlsSettings;
use tollgate_runtime::units::Period;

use crate::times::MIN_GRACE;

pub use cql::{CqlSettings, Keyspace, Replication};

/// The documented defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../default.toml");

/// The audit file in the data folder, unless a setting names another.
const AUDIT_FILE: &str = "audit.jsonl";
/// Names no audit file, but that there is none.
const OFF: &str = "off";

/// `[iam]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IamSettings {
    /// Where the gateway finds IAM.
    pub listen: SocketAddr,
    /// Where other nodes of the same journal reach `listen`; empty: nowhere.
    pub peer_url: String,
    /// Where probes and operators find it.
    pub admin_listen: SocketAddr,
    /// The folder of its data and keys.
    pub data_dir: PathBuf,
    /// What keeps the journal.
    pub journal: JournalKind,
    /// Where the cluster is, if one keeps it.
    pub cql: CqlSettings,
    /// How the first admin comes to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_mode: Option<BootstrapMode>,
    /// Mode `token`: the file with the admin's first API key.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub bootstrap_token_file: Option<PathBuf>,
    /// Mode `bootstrap`: whether it may be claimed from beyond this machine.
    pub bootstrap_allow_remote: bool,
    /// The private key to sign the first tokens with; none: one is drawn.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub signing_key_file: Option<PathBuf>,
    /// How long a signing key still verifies after the next one took its place.
    pub signing_key_grace: Period,
    /// The key that seals the journal; none: `seal.key` in the data folder.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub seal_key_file: Option<PathBuf>,
    /// Passwords.
    pub password: PasswordSettings,
    /// Where audit lines go; none: `audit.jsonl` in the data folder; `off`: nowhere.
    #[serde(default, deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub audit_file: Option<PathBuf>,
    /// Whether `listen` may be an address that others reach, without TLS.
    pub allow_plaintext: bool,
    /// TLS on `listen`.
    pub tls: TlsSettings,
}

/// `[iam.password]`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordSettings {
    /// The shortest password, in bytes.
    pub min_length: usize,
    /// Rounds of PBKDF2.
    pub rounds: u32,
}

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum JournalKind {
    /// A file in the data folder.
    Embedded,
    /// `ScyllaDB` or Cassandra.
    Cql,
}

/// The ways to the first admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootstrapMode {
    /// Seeded at the first start, with a key that the operator chose.
    Token,
    /// Claimed by whoever asks first, within an hour.
    Bootstrap,
}

/// Why the settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// `iam.bootstrap_mode` is needed.
    #[error(
        "iam.bootstrap_mode must be set: \"token\" (with iam.bootstrap_token_file) or \"bootstrap\""
    )]
    NoBootstrapMode,
    /// A token that nobody reads is a mistake.
    #[error("iam.bootstrap_token_file has no meaning with iam.bootstrap_mode = \"bootstrap\"")]
    TokenWithoutMode,
    /// Whoever comes first would be the admin.
    #[error(
        "iam.bootstrap_mode = \"bootstrap\" needs a loopback address in iam.listen, not {0}; \
         set iam.bootstrap_allow_remote = true if that is meant"
    )]
    RemoteBootstrap(SocketAddr),
    /// Too few or too many rounds.
    #[error("iam.password.rounds must be from 100000 to 5000000, not {0}")]
    Rounds(u32),
    /// Too short or too long.
    #[error("iam.password.min_length must be from 8 to 1024, not {0}")]
    MinLength(usize),
    /// Tokens would die before their time.
    #[error(
        "iam.signing_key_grace must be at least {}: tokens live for an hour",
        Period(MIN_GRACE)
    )]
    Grace,
    /// Not built in.
    #[error("iam.journal = \"cql\" is not built into this program; tollgate-iam has it")]
    NoCql,
    /// Nowhere to go.
    #[error("iam.cql.contact_points must name a node of the cluster")]
    NoContactPoint,
    /// Every node would seal with a key of its own, and none could read another's entries.
    #[error("iam.journal = \"cql\" needs iam.seal_key_file, with the same key on every node")]
    NoSharedSealKey,
    /// Whoever listens on the way would read it, and whoever comes by could write.
    #[error(
        "a cluster beyond this machine needs TLS and a password: set iam.cql.ca_file, \
         iam.cql.user and iam.cql.password_file"
    )]
    OpenCluster,
    /// Half of a credential.
    #[error("iam.cql.user and iam.cql.password_file must be set together")]
    HalfUser,
}

impl IamSettings {
    /// Checks what the types do not.
    pub fn check(&self) -> Result<BootstrapMode, InvalidSettings> {
        let mode = self.bootstrap_mode.ok_or(InvalidSettings::NoBootstrapMode)?;
        match mode {
            BootstrapMode::Token => {}
            BootstrapMode::Bootstrap if self.bootstrap_token_file.is_some() => {
                return Err(InvalidSettings::TokenWithoutMode);
            }
            BootstrapMode::Bootstrap => {
                if !self.listen.ip().is_loopback() && !self.bootstrap_allow_remote {
                    return Err(InvalidSettings::RemoteBootstrap(self.listen));
                }
            }
        }
        if !(100_000..=5_000_000).contains(&self.password.rounds) {
            return Err(InvalidSettings::Rounds(self.password.rounds));
        }
        if !(8..=1_024).contains(&self.password.min_length) {
            return Err(InvalidSettings::MinLength(self.password.min_length));
        }
        if self.signing_key_grace.0 < MIN_GRACE {
            return Err(InvalidSettings::Grace);
        }
        match self.journal {
            JournalKind::Embedded => {}
            JournalKind::Cql => self.check_cql()?,
        }
        Ok(mode)
    }

    /// Checks what the types do not, of a journal that a cluster keeps.
    pub fn check_cql(&self) -> Result<(), InvalidSettings> {
        if cfg!(not(feature = "cql")) {
            return Err(InvalidSettings::NoCql);
        }
        let CqlSettings { contact_points, ca_file, user, password_file, .. } = &self.cql;
        if contact_points.is_empty() {
            return Err(InvalidSettings::NoContactPoint);
        }
        if user.is_empty() != password_file.is_none() {
            return Err(InvalidSettings::HalfUser);
        }
        if !self.cql.is_local() && (ca_file.is_none() || password_file.is_none()) {
            return Err(InvalidSettings::OpenCluster);
        }
        if self.seal_key_file.is_none() {
            return Err(InvalidSettings::NoSharedSealKey);
        }
        Ok(())
    }

    /// Where audit lines go, if anywhere.
    pub fn audit_file(&self) -> Option<PathBuf> {
        match self.audit_file.as_deref() {
            None => Some(self.data_dir.join(AUDIT_FILE)),
            Some(path) if path == Path::new(OFF) => None,
            Some(path) => Some(path.to_owned()),
        }
    }
}

/// An empty path is none.
fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(Option::<PathBuf>::deserialize(from)?.filter(|path| !path.as_os_str().is_empty()))
}

#[cfg(test)]
mod tests {
    use tollgate_runtime::config::{Flags, load};

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Whole {
        iam: IamSettings,
    }

    fn with(settings: &[(&'static str, &str)]) -> IamSettings {
        let settings = settings.iter().map(|(path, value)| (*path, (*value).to_owned())).collect();
        let whole: Whole = load(&[DEFAULTS], &Flags { file: None, settings }, []).unwrap();
        whole.iam
    }

    #[test]
    fn the_defaults_need_a_mode_and_nothing_else() {
        assert_eq!(with(&[]).check(), Err(InvalidSettings::NoBootstrapMode));
        let mode = ("iam.bootstrap_mode", "bootstrap");
        assert_eq!(with(&[mode]).check(), Ok(BootstrapMode::Bootstrap));
        assert_eq!(with(&[mode]).password.rounds, 600_000);
        assert!(with(&[]).seal_key_file.is_none());
    }

    #[test]
    fn there_is_an_audit_file_unless_it_is_off() {
        let check = |value: &str, expect: Option<&str>| {
            let settings = with(&[("iam.data_dir", "data"), ("iam.audit_file", value)]);
            assert_eq!(settings.audit_file(), expect.map(PathBuf::from));
        };
        check("", Some("data/audit.jsonl"));
        check("off", None);
        check("./off", Some("./off"));
        check("/var/log/audit", Some("/var/log/audit"));
    }

    #[test]
    fn what_cannot_be_used_says_so() {
        let check = |more: &[(&'static str, &str)], expect: &str| {
            let all = [&[("iam.bootstrap_mode", "bootstrap")], more].concat();
            assert_eq!(with(&all).check().unwrap_err().to_string(), expect);
        };
        check(
            &[("iam.password.rounds", "99999")],
            "iam.password.rounds must be from 100000 to 5000000, not 99999",
        );
        check(
            &[("iam.password.min_length", "7")],
            "iam.password.min_length must be from 8 to 1024, not 7",
        );
        check(
            &[("iam.listen", "0.0.0.0:1")],
            "iam.bootstrap_mode = \"bootstrap\" needs a loopback address in iam.listen, not \
             0.0.0.0:1; set iam.bootstrap_allow_remote = true if that is meant",
        );
        check(
            &[("iam.bootstrap_token_file", "x")],
            "iam.bootstrap_token_file has no meaning with iam.bootstrap_mode = \"bootstrap\"",
        );
        check(
            &[("iam.signing_key_grace", "1h")],
            "iam.signing_key_grace must be at least 61m: tokens live for an hour",
        );
        let cql = ("iam.journal", "cql");
        if cfg!(not(feature = "cql")) {
            let expect =
                "iam.journal = \"cql\" is not built into this program; tollgate-iam has it";
            return check(&[cql], expect);
        }
        check(
            &[cql],
            "iam.journal = \"cql\" needs iam.seal_key_file, with the same key on every node",
        );
        check(
            &[cql, ("iam.cql.contact_points", "[]")],
            "iam.cql.contact_points must name a node of the cluster",
        );
        check(
            &[cql, ("iam.cql.user", "iam")],
            "iam.cql.user and iam.cql.password_file must be set together",
        );
        check(
            &[cql, ("iam.cql.contact_points", "[\"10.0.0.1:9042\"]")],
            "a cluster beyond this machine needs TLS and a password: set iam.cql.ca_file, \
             iam.cql.user and iam.cql.password_file",
        );
    }
}
