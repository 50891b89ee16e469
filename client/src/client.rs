//! The client: opens the socket, and turns calls into commands for the task that owns it.
//!
//! In: a [`Config`], then requests. Out: results, streams, notices, and in the end the reason why
//! the socket is gone. Never: a frame read or written here.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::USER_AGENT;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, client_async_tls_with_config};
use tokio_util::task::TaskTracker;
use tollgate_proto::frame::{AuthOk, Notice};

use crate::config::{Config, Endpoint};
use crate::connection::{Connection, Socket};
use crate::error::{AuthError, CallError, ConnectError, Ended};
use crate::handle::{self, AuthCommand, CallCommand, Handle, Slot, Ticket};
use crate::request::Request;
use crate::stream::{Deadline, Stream};
use crate::tls;

/// The library's default of 128 KiB is allocated for every socket.
const READ_BUFFER: usize = 8 << 10;

/// One socket to a gateway. Clones share it; it is closed when the last of them and of their
/// streams is dropped.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    config: Arc<Config>,
    tasks: TaskTracker,
}

impl Client {
    /// Opens a socket, and authenticates with the first frame if the config has a token. Without
    /// one, [`authenticate`](Self::authenticate) can follow at any time.
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::parse(&config.url)?;
        let socket =
            timeout(config.connect_timeout, dial(&endpoint, &config)).await.map_err(|_| {
                ConnectError::Timeout { address: endpoint.address(), after: config.connect_timeout }
            })??;
        let (handle, ends) = handle::pair(&config);
        let tasks = TaskTracker::new();
        tasks.spawn(Connection::new(socket, ends, &config).run());
        tasks.close();
        let client = Self { handle: Arc::new(handle), config: Arc::new(config), tasks };
        if let Some(token) = client.config.token.clone() {
            client.authenticate(token).await?;
        }
        Ok(client)
    }

    /// Sends a credential and waits for the answer: the first one, or another later. Credentials
    /// are judged in the order in which they were sent; a refused one changes nothing.
    pub async fn authenticate(&self, token: impl Into<SecretString>) -> Result<AuthOk, AuthError> {
        let (answer, receiver) = oneshot::channel();
        let command = AuthCommand { token: token.into(), answer };
        let exchange = async {
            let gone = |()| AuthError::Ended(self.handle.why_ended());
            self.handle.auths.send(command).await.map_err(|_| gone(()))?;
            receiver.await.map_err(|_| gone(()))?.map_err(AuthError::Failed)
        };
        let after = self.config.auth_timeout;
        timeout(after, exchange).await.map_err(|_| AuthError::Timeout(after))?
    }

    /// One call: the response of its last frame. The frames before it, if the service streams,
    /// are not kept. Dropping the future cancels the call.
    pub async fn call(&self, request: Request) -> Result<Box<RawValue>, CallError> {
        /// Dropped in this order, see [`Ticket`].
        struct Waiting {
            receiver: oneshot::Receiver<Result<Box<RawValue>, CallError>>,
            ticket: Ticket,
        }
        let deadline = deadline_of(&request);
        let (slot, receiver) = oneshot::channel();
        let exchange = async {
            let ticket = self.send(request, Slot::Call(slot)).await?;
            let mut waiting = Waiting { receiver, ticket };
            let result = (&mut waiting.receiver).await;
            waiting.ticket.done();
            result.unwrap_or_else(|_| Err(waiting.ticket.why_ended().into()))
        };
        match deadline {
            None => exchange.await,
            Some(Deadline { at, after }) => {
                timeout_at(at, exchange).await.map_err(|_| CallError::Timeout(after))?
            }
        }
    }

    /// One call, frame by frame.
    ///
    /// Frames wait in a queue of [`Config::stream_queue`]. A stream that is read too slowly ends
    /// with [`CallError::SlowConsumer`] and is cancelled; other calls of the socket do not notice.
    pub async fn stream(&self, request: Request) -> Result<Stream, CallError> {
        let deadline = deadline_of(&request);
        let (slot, parts) = mpsc::channel(self.config.stream_queue.max(1) + 1);
        let send = self.send(request, Slot::Stream(slot));
        let ticket = match deadline {
            None => send.await?,
            Some(Deadline { at, after }) => {
                timeout_at(at, send).await.map_err(|_| CallError::Timeout(after))??
            }
        };
        Ok(Stream::new(parts, ticket, deadline))
    }

    /// What the server says of itself. A listener that falls behind misses the oldest.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.handle.notices.subscribe()
    }

    /// The answer to the credential that is in force; `None` before the first, and after the
    /// server said that it ended.
    pub fn session(&self) -> Option<AuthOk> {
        self.handle.session.borrow().clone()
    }

    /// Waits until the socket is gone, and says why.
    pub async fn closed(&self) -> Ended {
        let mut ended = self.handle.ended.clone();
        // An error means that the task is gone, which `why_ended` tells.
        let _ = ended.wait_for(Option::is_some).await;
        self.handle.why_ended()
    }

    /// Whether the socket is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.handle.ended.borrow().is_some()
    }

    /// Closes the socket for all clones and waits until that is done. Calls in flight end with
    /// [`Ended`].
    pub async fn close(&self) {
        self.handle.closing.cancel();
        self.tasks.wait().await;
    }

    /// Hands a call to the connection. Once it returns, the ticket cancels the call when dropped.
    async fn send(&self, request: Request, slot: Slot) -> Result<Ticket, CallError> {
        let number = self.handle.next_number();
        let id = handle::id_of(number).map_err(|error| CallError::Request(error.to_string()))?;
        let frame = request.write(&id)?;
        let place = self.handle.calls.reserve().await.map_err(|_| self.handle.why_ended())?;
        // Nothing waits between these two: a future dropped before has sent nothing.
        place.send(CallCommand { number, frame, slot });
        Ok(Ticket::new(&self.handle, number))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.config.url).finish_non_exhaustive()
    }
}

fn deadline_of(request: &Request) -> Option<Deadline> {
    let after = request.deadline?;
    // A time too far away to be told is none.
    Some(Deadline { at: Instant::now().checked_add(after)?, after })
}

async fn dial(endpoint: &Endpoint, config: &Config) -> Result<Socket, ConnectError> {
    let connector = if endpoint.secure {
        Connector::Rustls(tls::trust(config.ca_file.as_deref())?)
    } else {
        Connector::Plain
    };
    let address = endpoint.address();
    let io = |source| ConnectError::Io { address: address.clone(), source };
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(io)?;
    stream.set_nodelay(true).map_err(io)?;
    let handshake =
        |source| ConnectError::Handshake { address: address.clone(), source: Box::new(source) };
    let mut request = endpoint.url.as_str().into_client_request().map_err(handshake)?;
    let agent = concat!("tollgate-client/", env!("CARGO_PKG_VERSION"));
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(config.max_message))
        .max_frame_size(Some(config.max_message));
    let (socket, _) = client_async_tls_with_config(request, stream, Some(limits), Some(connector))
        .await
        .map_err(handshake)?;
    Ok(socket)
}
