#!/usr/bin/env bash
# Three nodes of Cassandra, of which one after the other is killed under the load of two nodes of IAM: nothing that was
# answered is lost, and all states are the same. Then the laws of the journal on three copies. Takes a few minutes and 1.5 GB, so
# .ci/run has no part of it.
set -euo pipefail
cd "$(dirname "$0")/../.."

TOLLGATE_CQL=$(iam/tests/cassandra.sh start 0 3)
export TOLLGATE_CQL
trap 'iam/tests/cassandra.sh stop' EXIT
cargo test --locked -p tollgate-iam --test cluster -- --ignored --nocapture
cargo test --locked -p tollgate-iam --lib -- cql::
