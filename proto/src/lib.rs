//! What goes over Tollgate's wires, as types: no I/O, no async, no clock.
//!
//! The words below mean one thing each, in code, wire, logs, CLI and docs.
//!
//! | word | meaning |
//! |---|---|
//! | *frame* | one JSON object in one WebSocket message, either way |
//! | *call* | a frame with a `request`, named by an `id`; it ends with exactly one last frame |
//! | *service* | what a call addresses: `text-completion`, `config`, `iam`, … |
//! | *operation* | what a call asks of a service that offers several: `config` `get` |
//! | *backend* | what answers a service: built in, or a server behind the gateway |
//! | *flow* | a named instance of the flow services inside a workspace |
//! | *workspace* | the tenant: what a call touches, and what a grant covers |
//! | *credential* | an API key, or the session that a login opened |
//! | *identity* | what IAM says a credential stands for, at one moment |
//! | *principal* | the user behind an identity |
//! | *capability* | what a grant allows and a call needs: `graph:read` |
//! | *grant* | a role, held by a user, over a workspace or over the deployment |
//! | *permit* | the gateway's proof that one call was authorised |
//! | *allowed* | IAM's proof that one operation was authorised |
//! | *journal* | the one ordered record of every change IAM ever made |
//! | *mark* | a journal's id and a position in it |
//! | *audit line* | one thing that happened, as one line of the audit file, chained to the one before |

pub mod ids;
pub mod capability;
pub mod resource;
pub mod error;
pub mod close;
pub mod json;
pub mod frame;
pub mod key;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod iam;
pub mod secret;
#[cfg(feature = "audit")]
pub mod hex;
#[cfg(feature = "audit")]
pub mod seal_key;
#[cfg(feature = "audit")]
pub mod audit;
