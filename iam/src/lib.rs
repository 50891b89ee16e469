//! IAM: users, workspaces, roles, API keys, passwords and signing keys, on one ordered journal.
//!
//! The road of an operation, which is the order of the modules: `transport` reads it, `operation`
//! prepares it, `policy` allows it, `commit` writes it to the `journal`, `state` applies it.
//! [`start`] is the way in for a process that embeds it.

pub mod config;
pub mod flags;
pub mod maintenance;
mod app;
mod exposition;
pub mod transport;
pub mod operation;
pub mod policy;
pub mod commit;
pub mod nodes;
pub mod journal;
pub mod feed;
pub mod audit;
pub mod snapshots;
pub mod last_used;
pub mod tokens;
pub mod passwords;
pub mod throttle;
pub mod refused;
pub mod metrics;
pub mod state;
pub mod seal;
pub mod record;
pub mod names;
pub mod times;
pub mod draw;
pub mod hash;

pub use app::{Running, StartError, check, start};
