//! Starting: files, journal, state, writer and listener, built once and in this order.

mod storage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};
use tollgate_proto::ids::JournalId;
use tollgate_runtime::address::{Address, InvalidAddress};
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::config::{InvalidTrust, LinkSettings};
use tollgate_runtime::files::{self, FileError};
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::listen::{self, ListenError};
use tollgate_runtime::tls::{Acceptor, Connector, TlsError};

use crate::audit::{Audit, AuditError, Source};
use crate::commit::{Freshness, Writer};
use crate::config::{BootstrapMode, IamSettings, InvalidSettings};
use crate::draw::DrawError;
use crate::exposition::Shown;
use crate::journal::JournalError;
#[cfg(feature = "cql")]
use crate::journal::cql::AccessError;
use crate::last_used::LastUsed;
use crate::metrics::Metrics;
use crate::nodes::{Nodes, Peers};
use crate::operation::{Context, bootstrap, signing};
use crate::passwords::{Passwords, Pool};
use crate::policy::Denied;
use crate::record::Format;
use crate::refused::Refused;
use crate::seal::SealError;
use crate::snapshots;
use crate::state::{Read, StateError};
use crate::throttle::Throttle;
use crate::tokens::Tokens;
use crate::tokens::key_file::KeyFileError;
use crate::transport::http;
use storage::Stored;

pub(crate) use storage::{SEAL_KEY, read_seal, read_seal_key};

/// Shorter passwords are allowed and not recommended (NIST SP 800-63B-4).
const RECOMMENDED_LENGTH: usize = 15;

/// Between two tries to read what others wrote.
const AGAIN: Duration = Duration::from_secs(1);

/// Why IAM did not start, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Whom to trust.
    #[error(transparent)]
    Trust(#[from] InvalidTrust),
    /// Other nodes could not use it.
    #[error("iam.peer_url {0}")]
    PeerUrl(InvalidAddress),
    /// The other nodes could not be known.
    #[error(
        "iam.peer_url is https:// and needs link.ca_file: the certificates, PEM, under which nodes \
         of IAM prove their names"
    )]
    NobodyTrusted,
    /// A file or folder.
    #[error("{setting}: {source}")]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong.
        source: FileError,
    },
    /// Another process works on it.
    #[error("{0} is in use by another process; stop it or set iam.data_dir")]
    InUse(String),
    /// The journal is gone, and what else is there says that there was one.
    #[error(
        "{missing} is missing or empty, and {witness} is of a deployment that was here: restore a \
         backup, or move what is left away to begin anew"
    )]
    NoJournal {
        /// The data file.
        missing: String,
        /// What is left.
        witness: String,
    },
    /// The key of an existing journal is gone.
    #[error(
        "{0} is missing: the data in this folder cannot be used without the key that sealed it"
    )]
    NoSealKey(String),
    /// A file that should hold a key does not.
    #[error("{setting}: {source}")]
    Key {
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong.
        source: SealError,
    },
    /// The operator's signing key.
    #[error("iam.signing_key_file: {0}")]
    SigningKey(#[from] KeyFileError),
    /// The journal cannot be used.
    #[error("the journal in {folder} cannot be used: {}", with_causes(source))]
    Journal {
        /// Where.
        folder: String,
        /// Why.
        source: JournalError,
    },
    /// The cluster cannot be spoken to.
    #[cfg(feature = "cql")]
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The journal that the cluster keeps cannot be used.
    #[error("the journal in keyspace {keyspace} cannot be used: {}", with_causes(source))]
    Cluster {
        /// Where.
        keyspace: String,
        /// Why.
        source: JournalError,
    },
    /// The audit file.
    #[error("iam.audit_file: {}", with_causes(.0))]
    Audit(#[from] AuditError),
    /// Mode `token` on fresh data, without a token.
    #[error(
        "iam.bootstrap_token_file must be set: with iam.bootstrap_mode = \"token\" the first admin's API key stands there"
    )]
    NoToken,
    /// The operator's token is too easily guessed.
    #[error(
        "iam.bootstrap_token_file: the token must begin with tg_, have at least 32 printable \
         characters without blanks, and not be a mistyped API key (tollgate-iam keygen makes one)"
    )]
    WeakToken,
    /// No service secret.
    #[error("the service secret must have at least 32 characters (link.secret_file)")]
    WeakSecret,
    /// The machine.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The machine gives no threads.
    #[error("the threads that hash passwords could not be started: {0}")]
    Threads(#[source] std::io::Error),
    /// The first admin was not made.
    #[error("the first admin could not be made: {}", with_causes(.0))]
    Seed(Refused),
}

/// An error with its causes, in one sentence. Some say their cause themselves; nothing is said twice.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        if !sentence.contains(&cause) {
            sentence.push_str(": ");
            sentence.push_str(&cause);
        }
    }
    sentence
}

/// IAM, at work. It stops when its [`Lifecycle`] does.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The journal that it works on.
    pub journal: JournalId,
    /// Whether it waits to be claimed.
    pub bootstrap_available: bool,
    /// How old its state may be: it answers nobody while that is too old.
    pub freshness: Freshness,
}

/// Checks what the types of the settings do not.
pub fn check(settings: &IamSettings, link: &LinkSettings) -> Result<(), StartError> {
    read(settings, link).map(drop)
}

/// What the settings name, read and found to be usable.
struct Checked {
    mode: BootstrapMode,
    tls: Option<Arc<Acceptor>>,
    /// Does the handshake with other nodes.
    trusted: Option<Connector>,
}

fn read(settings: &IamSettings, link: &LinkSettings) -> Result<Checked, StartError> {
    let mode = settings.check()?;
    let tls = settings.tls.open("iam.tls")?;
    if tls.is_none() {
        listen::check_plaintext("iam", settings.listen, settings.allow_plaintext)?;
    }
    let trusted = link.trusted()?;
    if !settings.peer_url.is_empty() {
        let address = Address::parse(&settings.peer_url, trusted.as_ref());
        address.map_err(|error| match error {
            InvalidAddress::NobodyTrusted => StartError::NobodyTrusted,
            InvalidAddress::NotAUrl | InvalidAddress::NotHttp | InvalidAddress::Credential => {
                StartError::PeerUrl(error)
            }
        })?;
    }
    Ok(Checked { mode, tls, trusted })
}

/// Starts IAM on its own listener, and seeds fresh data in mode `token`.
///
/// `secret` is what gateways show.
pub async fn start(
    settings: &IamSettings,
    link: &LinkSettings,
    secret: SecretString,
    clock: SharedClock,
    lifecycle: &Lifecycle,
) -> Result<Running, StartError> {
    let Checked { mode, tls, trusted } = read(settings, link)?;
    if secret.expose_secret().len() < bootstrap::MIN_TOKEN {
        return Err(StartError::WeakSecret);
    }
    let token = read_token(settings)?;
    let listener = listen::bind(settings.listen, "iam.listen").await?;
    if settings.password.min_length < RECOMMENDED_LENGTH {
        let min_length = settings.password.min_length;
        tracing::warn!(min_length, "iam.password.min_length is below {RECOMMENDED_LENGTH}");
    }
    let address = listener.local_addr().map_err(|source| ListenError::Failed {
        address: settings.listen,
        setting: "iam.listen",
        source,
    })?;
    let stored = storage::open(settings, link.lease.0).await?;
    let peers = {
        let (seal, secret, clock) = (stored.seal.clone(), secret.clone(), Arc::clone(&clock));
        Peers::new(&settings.peer_url, trusted, seal, secret, clock)
    };
    let context = Arc::new(assemble(settings, mode, stored, peers, clock, lifecycle).await?);
    catch_up(&context).await;
    settle_first_admin(&context, token.as_ref()).await?;
    lifecycle.tasks.spawn(signing::keep(Arc::clone(&context), lifecycle.stop.clone()));
    let bootstrap_available = bootstrap::is_available(&context).map_err(StartError::Seed)?;
    let journal = context.journal.id();
    let freshness = context.writer.freshness().clone();
    tell_format(&context).map_err(|error| storage::unusable(settings, error.into()))?;
    lifecycle.metrics.add(Arc::new(Shown::of(&context)));
    lifecycle.metrics.add(context.feed.metrics());
    if let Some(acceptor) = &tls {
        acceptor.watch(lifecycle);
    }
    let node = context.nodes.this().map(tracing::field::display);
    http::serve(listener, tls, context, secret, lifecycle);
    tracing::info!(%address, %journal, node, bootstrap_available, "iam is listening");
    Ok(Running { address, journal, bootstrap_available, freshness })
}

async fn assemble(
    settings: &IamSettings,
    mode: BootstrapMode,
    stored: Stored,
    peers: Peers,
    clock: SharedClock,
    lifecycle: &Lifecycle,
) -> Result<Context, StartError> {
    let Stored { journal, state, feed, seal, signing_key } = stored;
    let metrics = Arc::<Metrics>::default();
    let writer = Writer::start(
        Arc::clone(&journal),
        state.clone(),
        seal.clone(),
        Arc::clone(&feed),
        Arc::clone(&metrics),
        lifecycle,
    );
    let nodes = Nodes::join(&journal, &feed, peers, lifecycle).await;
    let nodes = nodes.map_err(|source| storage::unusable(settings, source))?;
    let audit = match settings.audit_file() {
        Some(path) => {
            let (journal, state, seal) = (Arc::clone(&journal), state.clone(), seal.clone());
            let source = Source { journal, state, seal, committed: writer.committed() };
            Audit::start(&path, source, Arc::clone(&clock), Arc::clone(&metrics), lifecycle).await?
        }
        None => Audit::OFF,
    };
    let last_used = Arc::new(LastUsed::default());
    let keep = Arc::clone(&last_used).keep(Arc::clone(&journal), lifecycle.stop.clone());
    lifecycle.tasks.spawn(keep);
    let stop = lifecycle.stop.clone();
    let counted = Arc::clone(&metrics);
    let keep = snapshots::keep(Arc::clone(&journal), state.clone(), seal.clone(), counted, stop);
    lifecycle.tasks.spawn(keep);
    Ok(Context {
        tasks: lifecycle.tasks.clone(),
        audit,
        metrics,
        last_used,
        tokens: Tokens::new(seal, journal.id(), settings.signing_key_grace.0),
        passwords: Passwords::new(settings.password, Pool::start().map_err(StartError::Threads)?)?,
        throttle: Throttle::new(Arc::clone(&clock)),
        started_ms: clock.now_ms(),
        state,
        journal,
        writer,
        feed,
        nodes,
        clock,
        mode,
        signing_key,
    })
}

/// Reads what was written before the other nodes waited for this one.
async fn catch_up(context: &Context) {
    while let Err(refused) = context.writer.freshen(Instant::now()).await {
        tracing::warn!(%refused, "waiting for the cluster");
        sleep(AGAIN).await;
    }
}

/// Says that there are operations for which the journal has no words yet.
fn tell_format(context: &Context) -> Result<(), StateError> {
    let view = context.state.view()?;
    let (format, newest) = (view.position().format, Format::NEWEST);
    if format < newest {
        tracing::info!(
            "entries are written in format {format}, which older programs read; run \
             `journal upgrade` for format {newest} when no node and no rollback needs them"
        );
    }
    Ok(())
}

fn read_token(settings: &IamSettings) -> Result<Option<SecretString>, StartError> {
    let Some(path) = settings.bootstrap_token_file.as_deref() else { return Ok(None) };
    let source = |source| StartError::File { setting: "iam.bootstrap_token_file", source };
    let token = files::read_secret(path).map_err(source)?;
    if !bootstrap::is_strong_token(&token) {
        return Err(StartError::WeakToken);
    }
    Ok(Some(SecretString::from(token)))
}

async fn settle_first_admin(
    context: &Context,
    token: Option<&SecretString>,
) -> Result<(), StartError> {
    match context.mode {
        BootstrapMode::Bootstrap => return Ok(()),
        BootstrapMode::Token => {}
    }
    if bootstrap::is_unclaimed(context).map_err(StartError::Seed)? {
        let token = token.ok_or(StartError::NoToken)?;
        return match bootstrap::seed(context, token).await {
            // Another node that was started at the same time was first.
            Err(Refused::Denied(Denied::Claimed)) => Ok(()),
            done => done.map_err(StartError::Seed),
        };
    }
    if let Some(token) = token
        && bootstrap::is_token_alive(context, token).map_err(StartError::Seed)?
    {
        tracing::warn!(
            "the bootstrap token is still an admin's API key; make another and revoke it"
        );
    }
    Ok(())
}
