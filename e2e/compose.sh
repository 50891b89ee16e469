#!/usr/bin/env bash
# What the README promises of containers, with the time that each step takes: a clean clone, built and
# started, claimed, its first authorised call; then what must hold of it besides.
#
#   e2e/compose.sh [single|cluster]
#
# Needs Docker with Compose v2. It takes the commit that is checked out, and leaves the
# images and nothing else. Where ScyllaDB's image cannot be had, e2e/scylla-standin/build makes one.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-single}
case $profile in
    single) gateways=(gateway) iams=(iam) ;;
    cluster) gateways=(gateway-1 gateway-2) iams=(iam-1 iam-2) ;;
    *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
esac

# A project, ports and a network of its own.
project=tollgate-e2e-$profile
export GATEWAY_PORT=${PORT:-18088}
export GATEWAY_2_PORT=$((GATEWAY_PORT + 1))
export JOURNAL_NETWORK=${JOURNAL_NETWORK:-10.137.252}
export COMPOSE_PROFILES=$profile
work=$(mktemp -d)
files=(--file "$work/clone/docker-compose.yml")
scylla=$(sed -n 's/^ *image: \(scylladb\/.*\)/\1/p' docker-compose.yml)
if [ "$profile" = cluster ] && docker image inspect --format '{{.Config.Labels}}' "$scylla" 2>/dev/null | grep -q standin; then
    echo "(Cassandra stands in for ScyllaDB)"
    files+=(--file "$work/clone/e2e/scylla-standin/compose.yml")
fi
compose() { docker compose --project-name "$project" "${files[@]}" "$@" 2>>"$work/log"; }
all() { compose --profile "$profile" --profile tools "$@"; }
tg() { compose run --rm --no-deps tg "$@"; }
tg_at() { compose run --rm --no-deps --env TOLLGATE_URL="http://$1:8088/" tg "${@:2}"; }
echo_through() { tg_at "$1" call text-completion '{"prompt":"hello"}'; }

ended() {
    status=$?
    if [ $status -ne 0 ]; then
        compose logs --no-color --tail 40 || true
        cat "$work/log" || true
    fi
    all down --volumes --timeout 30 || true
    rm -rf "$work"
    exit $status
}
trap ended EXIT

now() { date +%s%3N; }
began=$(now)
done_with() { # what took the time since the last call
    local took=$(($(now) - began))
    printf '%-44s %6d.%01d s\n' "$1" $((took / 1000)) $((took % 1000 / 100))
    began=$(now)
}
fail() { echo "$*" >&2; exit 1; }
check() { # what, got, expected
    [ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"
    echo "$1: $2"
}
await() { # seconds, command...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null; do [ $SECONDS -lt $end ] || fail "in vain: $*"; done
}

git clone --quiet . "$work/clone"
done_with "git clone"
all build --quiet
done_with "docker compose build"
compose up --detach --wait
done_with "docker compose up, until all are healthy"
TOLLGATE_TOKEN=$(tg bootstrap-iam)
export TOLLGATE_TOKEN
done_with "tg bootstrap-iam"
check "first echo" "$(echo_through "${gateways[0]}")" hello
done_with "tg call text-completion"

id() { compose ps --all --quiet "$1"; }
published=$(for service in $(compose ps --services); do docker port "$(id "$service")"; done)
check "published elsewhere than on 127.0.0.1" "$(grep -cv -- '-> 127\.0\.0\.1:' <<<"$published" || true)" 0
check "published" "$(wc -l <<<"$published")" ${#gateways[@]}

for service in "${gateways[@]}" "${iams[@]}"; do
    check "how $service runs" "$(docker inspect --format \
        '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' \
        "$(id "$service")")" "65532:65532 true [ALL] [no-new-privileges:true]"
done

# No secret is in an environment, a command line, an image or a log. A container of its own reads them all.
mounts=()
for volume in $(docker volume ls --quiet --filter "label=com.docker.compose.project=$project"); do
    mounts+=(--volume "$volume:/all/$volume:ro")
done
secrets=$(docker run --rm --network none "${mounts[@]}" --entrypoint find tollgate-secrets \
    /all \( -name '*.secret' -o -name '*.password' -o -name seal.key \) -exec cat {} +)
[ "$(wc -l <<<"$secrets")" -ge 2 ] || fail "the secrets were not found"
shown=$(compose ps --all --quiet | xargs docker inspect
    docker images --quiet --filter 'reference=tollgate-*' | xargs -n 1 docker history --no-trunc
    compose logs --no-color)
check "secrets that show" "$(grep -cF -f <(printf '%s\n' "$secrets" "$TOLLGATE_TOKEN") <<<"$shown" || true)" 0

# Two gateways on two nodes of IAM are one deployment, and answer nobody without the database.
cluster() {
    local admin key key_id node gateway
    admin=$(tg whoami | awk '/^id / { print $2 }')
    key=$(tg_at gateway-1 create-api-key --user-id "$admin" --name second)
    check "a key of gateway-1, at gateway-2" "$(TOLLGATE_TOKEN=$key echo_through gateway-2)" hello
    key_id=$(tg_at gateway-2 list-api-keys --user-id "$admin" | grep -w second | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
    tg_at gateway-2 revoke-api-key --key-id "$key_id"
    ! TOLLGATE_TOKEN=$key echo_through gateway-1 || fail "gateway-1 takes a key that gateway-2 revoked"
    for gateway in "${gateways[@]}"; do
        check "of whose sockets $gateway hears" "$(tg_at "$gateway" list-sessions --user-id "$admin" --json |
            grep -oE '"(gateways|nodes)_[a-z]+": ?[0-9]+' | tr -d '" ' | xargs)" "gateways_heard:2 gateways_silent:0"
    done
    for node in "${iams[@]}"; do
        compose kill "$node"
        check "without $node, at ${gateways[*]}" "$(for gateway in "${gateways[@]}"; do echo_through "$gateway"; done | xargs)" "hello hello"
        compose up --detach --wait "$node"
    done
    began=$(now)
    compose stop scylla
    refused() { ! echo_through "$1"; }
    for gateway in "${gateways[@]}"; do await 30 refused "$gateway"; done
    done_with "ScyllaDB stopped: both gateways refuse"
    compose start scylla
    for gateway in "${gateways[@]}"; do await 120 echo_through "$gateway"; done
    done_with "ScyllaDB started: both gateways answer"
}
if [ "$profile" = cluster ]; then cluster; fi

began=$(now)
compose stop "${gateways[@]}" "${iams[@]}"
done_with "docker compose stop"
for service in "${gateways[@]}" "${iams[@]}"; do
    check "status of $service" "$(docker inspect --format '{{.State.ExitCode}}' "$(id "$service")")" 0
done
compose down
began=$(now)
compose up --detach --wait
done_with "docker compose up, of containers made anew"
for gateway in "${gateways[@]}"; do
    check "the same key at $gateway" "$(echo_through "$gateway")" hello
done
docker images --format '{{.Repository}} {{.Size}}' --filter 'reference=tollgate-*'
