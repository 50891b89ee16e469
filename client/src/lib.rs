//! The Rust SDK for Tollgate's public protocol: connect, authenticate, call, stream.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tollgate_client::{Client, Config, Request};
//!
//! let config = Config::new("http://localhost:8088/").token("tg_…".to_owned());
//! let client = Client::connect(config).await?;
//! let prompt = serde_json::json!({ "prompt": "hello" });
//! let answer = client.call(Request::new("text-completion", &prompt)?.flow("default")).await?;
//! println!("{answer}");
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] is one socket and cheap to clone. Dropping a call or a [`Stream`] cancels it at the
//! gateway; when the socket goes, everything that waits on it ends with the reason.
//! A [`LastingClient`] opens the next one, as the gateway advises.

mod lasting;
mod client;
mod stream;
mod connection;
mod handle;
mod request;
mod tokens;
mod config;
pub mod tls;
mod error;

pub use client::Client;
pub use config::Config;
pub use error::{AuthError, CallError, Closed, ConnectError, Ended};
pub use lasting::{LastingClient, State};
pub use request::Request;
pub use secrecy::SecretString;
pub use stream::Stream;
pub use tokens::{TokenError, Tokens};
pub use tollgate_proto::frame::server::ReceivedError;
pub use tollgate_proto::frame::{AuthFailed, AuthOk, Notice};
