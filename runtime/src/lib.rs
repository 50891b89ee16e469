//! What each of Tollgate's processes does besides its work: read its configuration, tell the
//! time, listen, log, count, say how it is, and stop in order.
//!
//! Never: anything about frames, users or policy.

pub mod clock;
pub mod units;
pub mod config;
pub mod log;
pub mod files;
pub mod memory;
pub mod descriptors;
pub mod listen;
pub mod address;
pub mod stream;
pub mod tls;
mod supervisor;
pub mod metrics;
pub mod lifecycle;
pub mod probes;
pub mod command;
