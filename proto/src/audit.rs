//! The audit file: one JSON line for everything that happened, each chained to the one before.
//!
//! A line ends with `prev`, the `mac` of the line before, and `mac`, HMAC-SHA-256 over the bytes of
//! the line up to there, under a key that comes from the seal key. So a changed line is known by
//! itself, and a removed, inserted or moved one by its neighbour. What ends the file is kept beside
//! it, as its [`Head`]. IAM writes lines; `tg audit` reads and verifies them.

mod line;
mod event;
mod chain;
mod head;

pub use chain::{AuditKey, Broken, Fault, Link, MAX_LINE, Verifier, read_line};
pub use event::Event;
pub use head::{Head, Next, head_path};
pub use line::{CredentialKind, Line, Peer, Target, TargetKind, Text, Verdict, Who};
