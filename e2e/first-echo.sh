#!/usr/bin/env bash
# What the README promises, with the release binaries: start, claim, make a key, first echo, stop.
# Build first: cargo build --release -p tollgate -p tollgate-cli
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
data=$(mktemp -d)
log=$data/log
# An address of its own, by its process id: on 127.0.0.1 the ports may be in use, by another run of this, too.
host=127.$((1 + $$ / 62500 % 250)).$((1 + $$ / 250 % 250)).$((1 + $$ % 250))
export TOLLGATE_GATEWAY__LISTEN=$host:8088
export TOLLGATE_GATEWAY__ADMIN_LISTEN=$host:8089
export TOLLGATE_IAM__LISTEN=$host:8090
export TOLLGATE_URL=http://$host:8088/

"$bin/tollgate" --data-dir "$data/data" 2>"$log" &
server=$!
trap 'kill -9 $server 2>/dev/null || true; rm -rf "$data"' EXIT

for _ in $(seq 100); do
    "$bin/tollgate" healthcheck && break
    kill -0 $server 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.1
done
grep -q "tg bootstrap-iam" "$log"

check() { # what, got, expected
    if [ "$2" != "$3" ]; then
        echo "$1: got '$2', expected '$3'"
        exit 1
    fi
    echo "$1: $2"
}

TOLLGATE_TOKEN=$("$bin/tg" bootstrap-iam 2>/dev/null)
export TOLLGATE_TOKEN
check "first echo" "$("$bin/tg" call text-completion '{"prompt":"hello"}')" hello
admin=$("$bin/tg" whoami --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["user"]["id"])')
key=$("$bin/tg" create-api-key --user-id "$admin" --name second 2>/dev/null)
check "with a key of its own" \
    "$(TOLLGATE_TOKEN=$key "$bin/tg" call text-completion '{"prompt":"a b c"}' --stream)" "a b c"
"$bin/tg" install-links "$data/links" >/dev/null 2>&1
check "under its other name" "$("$data/links/tg-whoami" | awk '/^username/ {print $2}')" admin

kill -TERM $server
wait $server
check "status after SIGTERM" $? 0
