//! Several nodes of IAM on one journal, which a real cluster keeps. `TOLLGATE_CQL` names it.

#![cfg(test)]

#[expect(dead_code, reason = "the other tests need more of it")]
#[path = "../rim/harness.rs"]
mod harness;
#[path = "../rim/program.rs"]
mod program;
#[path = "../rim/older.rs"]
mod older;
#[path = "../../src/journal/cql/tests/proxy.rs"]
mod proxy;
mod keyspace;
mod nodes;
mod claims;
mod fresh;
mod killed;
mod loss;
mod away;
mod copy;
mod upgrade;
mod gone;
