//! Builds every handle once and starts the gateway.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::config::LinkSettings;
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::listen::{ListenError, bind, check_plaintext};
use tollgate_runtime::probes::{self, Readiness};
use tollgate_runtime::tls::{Acceptor, TlsError};

use crate::accept::{Front, accept};
use crate::backend;
use crate::config::GatewaySettings;
use crate::dispatch::Dispatcher;
use crate::handles::{Handles, Limits};
use crate::http;
use crate::iam::Questions;
use crate::iam::link::{InvalidLink, Link};
use crate::origin::{InvalidOrigin, Origins};
use crate::peer::{InvalidProxy, Proxies};
use crate::registry::{Registry, RegistryError};

/// Why the gateway could not start, in one sentence.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Link(#[from] InvalidLink),
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("gateway.require_tls needs [gateway.tls], or gateway.proxies that end TLS")]
    NoTls,
    #[error("cannot listen: {0}")]
    Io(#[from] std::io::Error),
}

impl<E: Into<Cause>> From<E> for StartError {
    fn from(cause: E) -> Self {
        Self(cause.into())
    }
}

/// A gateway that has started.
#[derive(Debug)]
pub struct Running {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where the probes answer.
    pub admin_address: SocketAddr,
}

/// What the settings name, read and found to be usable.
struct Checked {
    tls: Option<Arc<Acceptor>>,
    proxies: Proxies,
    registry: Registry,
    origins: Origins,
}

/// Checks what the types of the settings do not.
pub fn check(settings: &GatewaySettings) -> Result<(), StartError> {
    read(settings).map(drop)
}

fn read(settings: &GatewaySettings) -> Result<Checked, StartError> {
    let tls = settings.tls.open("gateway.tls")?;
    let proxies = Proxies::parse(&settings.proxies)?;
    if tls.is_none() {
        let consent = ("gateway.allow_plaintext", settings.allow_plaintext);
        check_plaintext(settings.listen, "gateway.listen", consent)?;
        if settings.require_tls && proxies.is_empty() {
            return Err(Cause::NoTls.into());
        }
    }
    let registry_file = Some(&settings.registry_file).filter(|path| **path != PathBuf::new());
    let registry = Registry::load(registry_file.map(PathBuf::as_path))?;
    Link::parse_url(&settings.iam_url)?;
    Ok(Checked { tls, proxies, registry, origins: Origins::parse(&settings.origins)? })
}

/// Starts the gateway: it listens when this returns, and runs until `life` stops.
///
/// `secret` is what the gateway shows to IAM.
pub async fn start(
    settings: &GatewaySettings,
    link: &LinkSettings,
    secret: &SecretString,
    clock: SharedClock,
    life: &Lifecycle,
) -> Result<Running, StartError> {
    let Checked { tls, proxies, registry, origins } = read(settings)?;
    let iam = Arc::new(Link::new(&settings.iam_url, secret, life)?);
    let listener = bind(settings.listen, "gateway.listen").await?;
    let readiness = Readiness::of(&["listener"]);
    let admin = settings.admin_listen;
    let admin_address =
        probes::serve(admin, "gateway.admin_listen", readiness.clone(), life).await?;
    let running = Running { address: listener.local_addr()?, admin_address };

    let backends = backend::open(&registry, life);
    let questions = Questions::new(iam, link.lease.0);
    let handles = Arc::new(Handles {
        registry,
        dispatcher: Dispatcher { questions, backends },
        origins,
        require_tls: settings.require_tls,
        url_token: settings.compat.url_token,
        limits: limits(settings),
        clock,
        life: life.clone(),
        hasher: RandomState::new(),
    });
    if let Some(acceptor) = &tls {
        acceptor.watch(life);
    }
    let front = Front { router: http::router(handles), tls, proxies };
    life.tasks.spawn(accept(listener, front, life.clone()));
    readiness.set("listener", true);
    Ok(running)
}

fn limits(settings: &GatewaySettings) -> Limits {
    Limits {
        auth_deadline: settings.auth.deadline.0,
        grace: settings.auth.grace.0,
        drain: settings.drain.0,
        write_stall: settings.limits.write_stall.0,
        max_message: settings.limits.max_message.0,
        max_inflight: settings.limits.max_inflight.max(1),
        max_waiting: settings.limits.max_waiting,
    }
}
