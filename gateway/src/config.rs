//! The section `[gateway]` of the configuration. `settings.toml` documents each setting and
//! holds its default.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tollgate_runtime::tls::TlsSettings;
use tollgate_runtime::units::{Bytes, Period};

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("../settings.toml");

/// The section `[gateway]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "settings.toml has the words, for operators and for us")]
pub struct GatewaySettings {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub iam_url: String,
    pub registry_file: PathBuf,
    pub origins: Vec<String>,
    pub allow_plaintext: bool,
    pub require_tls: bool,
    pub proxies: Vec<String>,
    pub tls: TlsSettings,
    pub drain: Period,
    pub auth: AuthSettings,
    pub compat: CompatSettings,
    pub limits: LimitSettings,
}

/// The section `[gateway.auth]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "settings.toml has the words")]
pub struct AuthSettings {
    pub deadline: Period,
    pub grace: Period,
}

/// The section `[gateway.compat]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "settings.toml has the words")]
pub struct CompatSettings {
    pub url_token: bool,
}

/// The section `[gateway.limits]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "settings.toml has the words")]
pub struct LimitSettings {
    pub max_connections: usize,
    pub max_strangers: usize,
    pub max_strangers_per_address: usize,
    pub max_message: Bytes,
    pub max_inflight: usize,
    pub max_waiting: usize,
    pub max_waiting_bytes: Bytes,
    pub write_stall: Period,
    pub heartbeat: Period,
    pub heartbeat_patience: Period,
}

impl GatewaySettings {
    /// These settings, with those of `new` that a running gateway takes over.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        let Self {
            registry_file, origins, require_tls, proxies, drain, auth, compat, limits, ..
        } = new.clone();
        Self {
            registry_file,
            origins,
            require_tls,
            proxies,
            drain,
            auth,
            compat,
            limits,
            ..self.clone()
        }
    }
}
