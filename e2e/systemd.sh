#!/usr/bin/env bash
# The units of deploy/systemd under a systemd that runs them, in a container: installed by the very commands of
# docs/OPERATIONS.md, started, claimed, their first call, a reload, a stop in the midst of a call, SIGKILL, and SIGSTOP until
# the watchdog bites. Takes two minutes, of which one is that of the watchdogs.
# Build first: cargo build --release -p tollgate -p tollgate-gateway -p tollgate-iam -p tollgate-cli
#
#   e2e/systemd.sh [FOLDER]             the folder of the programs; default: target/release
#
# Needs Docker, and leaves the image tollgate-systemd-e2e.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release}")
name=tollgate-systemd-e2e-$$
work=$(mktemp -d)
image=tollgate-systemd-e2e

# perl, which is there, is the backend of slow calls.
docker build --quiet --tag $image - >/dev/null <<'DOCKERFILE'
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends systemd openssl && rm -rf /var/lib/apt/lists/*
# systemd wants to write its part of the tree of cgroups.
RUN printf '%s\n' '#!/bin/sh' \
    'awk "\$3 == \"cgroup2\" { print \$2 }" /proc/mounts | xargs -r -n 1 mount -o remount,rw' \
    'exec /lib/systemd/systemd' >/init && chmod 755 /init
STOPSIGNAL SIGRTMIN+3
CMD ["/init"]
DOCKERFILE

docker run --detach --name "$name" --network none --cgroupns private --tmpfs /run --tmpfs /run/lock \
    --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --volume "$PWD/deploy:/src/deploy:ro" --volume "$programs:/src/target/release:ro" --workdir /src $image >/dev/null
within() { docker exec --interactive --env TOLLGATE_TOKEN "$name" "$@"; }

ended() {
    status=$?
    [ $status -eq 0 ] || within journalctl --no-pager --lines 40 || true
    docker rm --force "$name" >/dev/null
    rm -rf "$work"
    exit $status
}
trap ended EXIT

fail() { echo "$*" >&2; exit 1; }
check() { # what, got, expected
    [ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"
    echo "$1: $2"
}
await() { # seconds, command...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "in vain: $*"
        sleep 0.2
    done
}
is_up() { [ "$(within systemctl is-system-running 2>/dev/null)" = running ]; }
of() { within systemctl show --property "$2" --value "$1"; } # unit, property
said() { within journalctl --unit "$1" --output cat --no-pager | grep -F "$2" >/dev/null; }
tg() { within target/release/tg "$@"; }
is_echoed() { [ "$(tg call text-completion '{"prompt":"hello"}' 2>/dev/null)" = hello ]; }
installed() { # the nth block of commands of the documents, word by word
    local block
    block=$(awk -v n="$1" '/^## /{ here = $0 == "## Under systemd" } here && /^```$/ { inside = 0 }
        inside && i == n; here && /^```sh$/ { inside = 1; i++ }' docs/OPERATIONS.md)
    [ -n "$block" ] || fail "docs/OPERATIONS.md: there is no block $1 under systemd"
    within bash -euc "$block" 2>&1
}
restarted() { [ "$(of "$1" NRestarts)" = "$2" ] && [ "$(of "$1" ActiveState)" = active ]; } # unit, times

configuration() { # what tollgate.toml says
    within tee tollgate.toml >/dev/null <<'TOML'
[gateway]
registry_file = "/etc/tollgate/registry.toml"

[iam]
bootstrap_mode = "bootstrap"
TOML
    within install -d /etc/tollgate
    within tee /etc/tollgate/registry.toml >/dev/null <<'TOML'
[flow-service.slow]
capability = "llm"
backend = "http://127.0.0.1:9000/"
TOML
}

slow_backend() { # answers when somebody has made /tmp/answer
    docker exec --detach "$name" perl -MIO::Socket::INET -e '
        $listener = IO::Socket::INET->new(Listen => 9, LocalAddr => "127.0.0.1:9000", ReuseAddr => 1) or die;
        while ($caller = $listener->accept) {
            $head = ""; while (<$caller>) { last if /^\r$/; $head .= $_ }
            next unless $head =~ /^POST/;
            open $mark, ">", "/tmp/asked"; close $mark;
            select undef, undef, undef, 0.05 until -e "/tmp/answer";
            print $caller "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\nConnection: close\r\n\r\n",
                "{\"response\":\"late\"}";
            close $caller;
        }'
}

# What holds of every unit that serves clients, alone or with another one behind it.
serves() { # unit
    local unit=$1 call
    check "$unit is enabled" "$(within systemctl is-enabled "$unit")" enabled
    TOLLGATE_TOKEN=$(tg bootstrap-iam)
    export TOLLGATE_TOKEN
    check "first echo through $unit" "$(tg call text-completion '{"prompt":"hello"}')" hello

    within sed -i 's/slow/late/' /etc/tollgate/registry.toml
    within systemctl reload "$unit"
    await 10 said "$unit" "the configuration was read again"
    await 10 restarted "$unit" 0
    echo "$unit was reloaded"

    within rm -f /tmp/asked /tmp/answer
    tg call late '{}' >"$work/late" & call=$!
    await 10 within test -e /tmp/asked
    within systemctl stop --no-block "$unit"
    await 10 said "$unit" "stopping"
    check "$unit while a call runs" "$(of "$unit" ActiveState)" deactivating
    within touch /tmp/answer
    wait $call
    check "the call that ran" "$(cat "$work/late")" late
    ends_well "$unit"
    within systemctl start "$unit"
    is_echoed || fail "$unit forgot its admin"
}

is_private() { # folder, unit
    check "mode and owner of $1" "$(within stat --dereference --format '%a %u' "$1")" \
        "700 $(within stat --format %u "/proc/$(of "$2" MainPID)")"
}

ends_well() { # unit
    await 30 is_over "$1"
    check "$1 ended with" "$(of "$1" Result) $(of "$1" ExecMainStatus)" "success 0"
}
is_over() { [ "$(of "$1" ActiveState)" = inactive ]; }

dies() { # units...: killed, and held
    local unit
    for unit; do
        within systemctl kill --kill-who main --signal KILL "$unit"
        await 20 restarted "$unit" 1
        echo "$unit was killed, and is back"
    done
    await 10 is_echoed
    for unit; do within systemctl kill --kill-who main --signal STOP "$unit"; done
    for unit; do
        await 60 restarted "$unit" 2
        said "$unit" "Watchdog timeout" || fail "$unit was restarted, and not by its watchdog"
        echo "$unit stood still, and is back"
    done
    await 10 is_echoed
}

await 30 is_up
configuration
slow_backend
installed 1
check "who runs tollgate" "$(of tollgate DynamicUser) $(of tollgate User)" "yes tollgate"
is_private /var/lib/tollgate tollgate
serves tollgate
dies tollgate
within systemctl disable --now tollgate
ends_well tollgate

installed 2
check "who runs them" "$(of tollgate-gateway User) $(of tollgate-iam User)" "tollgate-gateway tollgate-iam"
is_private /var/lib/tollgate-iam tollgate-iam
serves tollgate-gateway
within systemctl reload tollgate-iam
await 10 said tollgate-iam "the configuration was read again"
dies tollgate-iam tollgate-gateway
for unit in tollgate-gateway tollgate-iam; do
    within systemctl disable --now "$unit"
    ends_well "$unit"
done
