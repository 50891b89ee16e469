//! Builds every handle once, starts the gateway, and puts new rules in force while it runs.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::SecretString;
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::config::LinkSettings;
use tollgate_runtime::descriptors;
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::listen::{ListenError, bind, check_plaintext};
use tollgate_runtime::metrics::Source;
use tollgate_runtime::probes::{self, Readiness};
use tollgate_runtime::tls::{Acceptor, TlsError};

use crate::accept::{Front, accept};
use crate::backend;
use crate::config::{GatewaySettings, LimitSettings};
use crate::dispatch::Dispatcher;
use crate::feed::Feed;
use crate::handles::{Handles, Limits, Rhythm, Rules};
use crate::http;
use crate::iam::Questions;
use crate::iam::link::{InvalidLink, Link};
use crate::metrics::Metrics;
use crate::origin::{InvalidOrigin, Origins};
use crate::peer::{InvalidProxy, Proxies};
use crate::registry::{Registry, RegistryError};
use crate::seats::Caps;
use crate::sessions::Sessions;

/// Behind the drain, for the last frames to be sent.
const GOODBYES: Duration = Duration::from_secs(3);

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
pub struct Running {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where the probes answer.
    pub admin_address: SocketAddr,
    handles: Arc<Handles>,
}

/// What the settings name, read and found to be usable.
struct Checked {
    proxies: Proxies,
    registry: Registry,
    origins: Origins,
}

/// Checks what the types of the settings do not.
pub fn check(settings: &GatewaySettings, link: &LinkSettings) -> Result<(), StartError> {
    read(settings)?;
    Ok(Link::check(&settings.iam_url, link)?)
}

fn read(settings: &GatewaySettings) -> Result<(Option<Arc<Acceptor>>, Checked), StartError> {
    let tls = settings.tls.open("gateway.tls")?;
    let proxies = Proxies::parse(&settings.proxies)?;
    if tls.is_none() {
        check_plaintext("gateway", settings.listen, settings.allow_plaintext)?;
        if settings.require_tls && proxies.is_empty() {
            return Err(Cause::NoTls.into());
        }
    }
    let registry_file = Some(&settings.registry_file).filter(|path| **path != PathBuf::new());
    let registry = Registry::load(registry_file.map(PathBuf::as_path))?;
    let origins = Origins::parse(&settings.origins)?;
    Ok((tls, Checked { proxies, registry, origins }))
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
    let (tls, checked) = read(settings)?;
    // What drains needs IAM, and is told by it, to the end.
    let below = life.below();
    let iam = Arc::new(Link::new(&settings.iam_url, link, secret, &below)?);
    let listener = bind(settings.listen, "gateway.listen").await?;
    let metrics = Arc::new(Metrics::default());
    life.metrics.add(Arc::clone(&metrics) as Arc<dyn Source>);
    let readiness = Readiness::default();
    let admin = settings.admin_listen;
    let admin_address =
        probes::serve(admin, "gateway.admin_listen", readiness.clone(), life).await?;
    let address = listener.local_addr()?;

    let questions =
        Arc::new(Questions::new(iam, link.lease.0, clock.clone(), Arc::clone(&metrics)));
    let sessions = Arc::<Sessions>::default();
    let feed = Feed::open(Arc::clone(&questions), Arc::clone(&sessions)).await;
    below.tasks.clone().spawn(feed.listen(below));
    let rules = make_rules(settings, checked, Arc::clone(&questions), None, life);
    let handles = Arc::new(Handles {
        rules: ArcSwap::from_pointee(rules),
        questions: Arc::clone(&questions),
        sessions,
        seats: Arc::default(),
        clock,
        life: life.clone(),
        metrics,
        hasher: RandomState::new(),
    });
    if let Some(acceptor) = &tls {
        acceptor.watch(life);
    }
    let router = http::router(Arc::clone(&handles));
    let front = Front { router, tls, handles: Arc::clone(&handles) };
    life.tasks.spawn(accept(listener, front));
    readiness.started("iam is not heard", move || questions.is_iam_heard());
    Ok(Running { address, admin_address, handles })
}

impl Running {
    /// Puts new settings in force, as far as [`GatewaySettings::reloaded`] goes, and reads the
    /// registry's file again. No connection is closed, and calls that run end as they began.
    pub fn reload(&self, settings: &GatewaySettings) -> Result<(), StartError> {
        let (_, checked) = read(settings)?;
        let Handles { rules, questions, life, .. } = &*self.handles;
        let before = rules.load();
        rules.store(Arc::new(make_rules(
            settings,
            checked,
            Arc::clone(questions),
            Some(&before),
            life,
        )));
        Ok(())
    }

    /// How long a stop may take: the drain, what IAM still answers then, and a moment for goodbyes.
    pub fn patience(&self) -> Duration {
        let Handles { rules, questions, .. } = &*self.handles;
        rules.load().limits.drain + questions.patience() + GOODBYES
    }
}

/// The rules of these settings. Backends that `before` has too are kept.
fn make_rules(
    settings: &GatewaySettings,
    checked: Checked,
    questions: Arc<Questions>,
    before: Option<&Rules>,
    life: &Lifecycle,
) -> Rules {
    let Checked { proxies, mut registry, origins } = checked;
    let metrics = questions.metrics();
    registry.count_in(metrics);
    let before = before.map(|rules| (&rules.registry, &rules.dispatcher.backends));
    let backends = backend::open(&registry, before, metrics, life);
    Rules {
        registry,
        dispatcher: Dispatcher { questions, backends },
        origins,
        proxies,
        require_tls: settings.require_tls,
        url_token: settings.compat.url_token,
        limits: limits(settings),
    }
}

/// What a gateway with the built-in registry counts, for the page that documents it.
pub fn metrics() -> Result<impl Source, StartError> {
    let metrics = Metrics::default();
    Registry::load(None)?.count_in(&metrics);
    Ok(metrics)
}

/// A heartbeat of nothing would leave no time for anything else.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// Descriptors that are nobody's connection: files, the listeners, the link to IAM and, in one
/// process, IAM's own, and connections that are only told that there is no room.
const RESERVE: usize = 128;

fn caps(settings: &LimitSettings) -> Caps {
    // Each running call may need one to its backend.
    let derived = (descriptors::limit().saturating_sub(RESERVE) / 4 * 3).max(1);
    let or = |set: usize, derived| if set == 0 { derived } else { set };
    let connections = or(settings.max_connections, derived);
    Caps {
        connections,
        strangers: or(settings.max_strangers, connections.div_ceil(2)),
        strangers_at: settings.max_strangers_per_address.max(1),
    }
}

fn limits(settings: &GatewaySettings) -> Limits {
    Limits {
        auth_deadline: settings.auth.deadline.0,
        grace: settings.auth.grace.0,
        drain: settings.drain.0,
        write_stall: settings.limits.write_stall.0,
        heartbeat: Rhythm {
            interval: settings.limits.heartbeat.0.max(SHORTEST_BEAT),
            patience: settings.limits.heartbeat_patience.0.max(SHORTEST_BEAT),
        },
        caps: caps(&settings.limits),
        max_message: settings.limits.max_message.0,
        max_inflight: settings.limits.max_inflight.max(1),
        max_waiting: settings.limits.max_waiting,
        max_waiting_bytes: settings.limits.max_waiting_bytes.0,
    }
}
