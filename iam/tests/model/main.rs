//! IAM against a plain model of its rules: random histories of management by eight concurrent
//! actors, through the real operations, writer and journal.
//!
//! `TOLLGATE_HISTORIES` says how many; `TOLLGATE_HISTORY` runs the one of a seed. Over two nodes on a
//! cluster, `TOLLGATE_NODE_HISTORIES`.

#![cfg(test)]

mod world;
mod ask;
mod effects;
mod rules;
mod real;
mod draw;
mod turns;
mod history;
mod check;
mod many;
#[cfg(feature = "cql")]
#[path = "../cluster/keyspace.rs"]
mod keyspace;
#[cfg(feature = "cql")]
mod nodes;
