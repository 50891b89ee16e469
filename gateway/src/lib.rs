//! The gateway: accepts every upgrade, waits for the first frame, authenticates, then
//! multiplexes calls by id, each under a capability check.
//!
//! The road of a frame, in the order of the modules: a message comes off the `socket`, the
//! `session` tells what it is, `auth` turns a credential into an identity, the `registry`
//! resolves a call, `authorise` makes the permit, `dispatch` runs it under its deadline on a
//! `backend`, `reply` writes the answer. HTTP callers (`http`) take the same road from the
//! registry on; what is passed on whole between two sockets, a `relay` copies. What goes on for long
//! does so in a `tenure`, which asks IAM again.
//!
//! It holds no policy and no state that a restart would lose.

mod accept;
mod seats;
mod guarded;
mod peer;
mod percent;
mod socket;
mod session;
mod auth;
mod registry;
mod authorise;
mod dispatch;
mod backend;
mod reply;
mod tenure;
mod relay;
mod http;
mod handles;
mod record;
mod call;
mod metrics;
mod iam;
mod sessions;
mod feed;
mod upstream;
mod origin;
pub mod config;
mod app;

pub use app::{Running, StartError, check, metrics, start};
pub use config::{DEFAULTS, GatewaySettings};
