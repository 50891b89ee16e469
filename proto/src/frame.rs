//! The frames of the WebSocket protocol, one JSON object to a message.
//!
//! [`client`] has what a client sends, [`server`] what the gateway sends, [`feature`] what only those
//! hear who asked for it. One golden file per
//! kind of frame lies in `proto/golden/`; tests and docs read the same files.

pub mod feature;
pub mod client;
pub mod server;

pub use client::{AuthFrame, CallFrame, ClientFrame, Malformed};
pub use feature::Feature;
pub use server::{AuthFailed, AuthOk, Notice, ServerFrame, SessionLimits};

#[cfg(test)]
mod golden;
