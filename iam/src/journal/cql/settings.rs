//! The way to the cluster: certificates and password from their files, then a session.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use secrecy::{ExposeSecret, SecretString};
use tollgate_runtime::files::{self, FileError};
use tollgate_runtime::tls::{self, TlsError};

use super::away;
use crate::config::CqlSettings;
use crate::journal::JournalError;

/// For one statement. An entry that nobody heard of by then is asked for again.
const REQUEST: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(3);
/// To each node: one would be a single point of trouble.
const CONNECTIONS: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN.saturating_add(1);

/// Why the cluster cannot be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// `iam.cql.ca_file`.
    #[error("iam.cql.ca_file: {0}")]
    Tls(#[from] TlsError),
    /// `iam.cql.password_file`.
    #[error("iam.cql.password_file: {0}")]
    Password(#[from] FileError),
}

/// What it takes to be let in.
#[derive(Debug)]
pub struct Access {
    tls: Option<Arc<rustls::ClientConfig>>,
    password: Option<SecretString>,
}

impl Access {
    /// Reads the files that the settings name.
    pub fn read(settings: &CqlSettings) -> Result<Self, AccessError> {
        let tls = settings.ca_file.as_deref().map(tls::trust).transpose()?.map(Arc::new);
        let read = |path: &Path| files::read_secret(path).map(SecretString::from);
        let password = settings.password_file.as_deref().map(read).transpose()?;
        Ok(Self { tls, password })
    }

    pub(super) async fn connect(&self, settings: &CqlSettings) -> Result<Session, JournalError> {
        let mut balancing = DefaultPolicy::builder();
        if !settings.datacenter.is_empty() {
            balancing = balancing.prefer_datacenter(settings.datacenter.clone());
        }
        let Reach { consistency, serial } = Reach::of(settings);
        let profile = ExecutionProfile::builder()
            .consistency(consistency)
            .serial_consistency(Some(serial))
            .request_timeout(Some(REQUEST))
            .load_balancing_policy(balancing.build())
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&settings.contact_points)
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(CONNECT)
            .pool_size(PoolSize::PerHost(CONNECTIONS))
            .driver_config_reporting(false)
            .tls_context(self.tls.clone());
        if let Some(password) = &self.password {
            builder = builder.user(&settings.user, password.expose_secret());
        }
        builder.build().await.map_err(away)
    }
}

/// How far a majority reaches.
pub(super) struct Reach {
    pub(super) consistency: Consistency,
    pub(super) serial: SerialConsistency,
}

impl Reach {
    pub(super) fn of(settings: &CqlSettings) -> Self {
        if settings.datacenter.is_empty() {
            Self { consistency: Consistency::Quorum, serial: SerialConsistency::Serial }
        } else {
            Self { consistency: Consistency::LocalQuorum, serial: SerialConsistency::LocalSerial }
        }
    }

    /// For a read that settles what is not finished.
    pub(super) const fn settled(&self) -> Consistency {
        match self.serial {
            SerialConsistency::Serial => Consistency::Serial,
            SerialConsistency::LocalSerial => Consistency::LocalSerial,
        }
    }
}
