//! `tg` as people run it: its arguments, its output, its exit code, and what it asks a server.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which the lint does not recognise")]
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod harness;
mod commands;
mod kept;
mod call;
mod audit;
mod iam;
mod shells;
mod tls;
mod real;
mod terminal;
