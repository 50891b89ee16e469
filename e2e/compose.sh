#!/usr/bin/env bash
# What the README promises of containers, with the time that each step takes: a clean clone, built and
# started, claimed, its first authorised call; then what must hold of it besides.
#
# Needs Docker with Compose 2.20 or newer. It takes the commit that is checked out, and leaves the
# images and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
gateways=(gateway) iams=(iam)

# A project and a port of its own.
project=tollgate-e2e
export GATEWAY_PORT=${PORT:-18088}
work=$(mktemp -d)
compose() { docker compose --project-name "$project" --project-directory "$work/clone" --profile tools "$@"; }
tg() { compose run --rm --no-deps "$@" 2>>"$work/log"; }
ended() {
    status=$?
    if [ $status -ne 0 ]; then
        compose logs --no-color --tail 40 || true
        cat "$work/log" || true
    fi
    compose down --volumes --timeout 30 >/dev/null 2>&1 || true
    rm -rf "$work"
    exit $status
}
trap ended EXIT

now() { date +%s%3N; }
began=$(now)
done_with() { # what took the time since the last call
    local at
    at=$(now)
    printf '%-44s %6d.%01d s\n' "$1" $(((at - began) / 1000)) $(((at - began) % 1000 / 100))
    began=$(now)
}
fail() { echo "$*" >&2; exit 1; }
check() { # what, got, expected
    [ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"
    echo "$1: $2"
}

git clone --quiet . "$work/clone"
done_with "git clone"
compose build --quiet 2>>"$work/log"
done_with "docker compose build"
compose up --detach --wait "${gateways[@]}" "${iams[@]}" 2>>"$work/log"
done_with "docker compose up, until all are healthy"
TOLLGATE_TOKEN=$(tg tg bootstrap-iam)
export TOLLGATE_TOKEN
done_with "tg bootstrap-iam"
echo_through() { # gateway
    tg -e TOLLGATE_URL="http://$1:8088/" tg call text-completion '{"prompt":"hello"}'
}
check "first echo" "$(echo_through "${gateways[0]}")" hello
done_with "tg call text-completion"
for gateway in "${gateways[@]:1}"; do
    check "the same key at $gateway" "$(echo_through "$gateway")" hello
done

id() { compose ps --all --quiet "$1"; }
published=$(for service in $(compose ps --services); do docker port "$(id "$service")"; done)
check "published elsewhere than on 127.0.0.1" "$(grep -cv -- '-> 127\.0\.0\.1:' <<<"$published" || true)" 0
check "published" "$(wc -l <<<"$published")" ${#gateways[@]}

for service in "${gateways[@]}" "${iams[@]}"; do
    check "how $service runs" "$(docker inspect --format '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' \
        "$(id "$service")")" "65532:65532 true [ALL] [no-new-privileges:true]"
done

# No secret is in an environment, a command line, an image or a log. A container of its own reads them all.
mounts=()
for volume in $(docker volume ls --quiet --filter "label=com.docker.compose.project=$project"); do
    mounts+=(--volume "$volume:/all/$volume:ro")
done
# shellcheck disable=SC2016  # for the shell inside
secrets=$(docker run --rm --network none "${mounts[@]}" --entrypoint sh tollgate-secrets -c \
    'find /all \( -name "*.secret" -o -name "*.password" -o -name seal.key \) -exec cat {} +')
[ "$(wc -l <<<"$secrets")" -ge 2 ] || fail "the secrets were not found"
shown=$(compose ps --all --quiet | xargs docker inspect
    for image in gateway iam tg secrets; do docker history --no-trunc "tollgate-$image"; done
    compose logs --no-color)
check "secrets that show" "$(grep -cF -f <(printf '%s\n' "$secrets" "$TOLLGATE_TOKEN") <<<"$shown" || true)" 0

began=$(now)
compose stop "${gateways[@]}" "${iams[@]}" 2>>"$work/log"
done_with "docker compose stop"
for service in "${gateways[@]}" "${iams[@]}"; do
    check "status of $service" "$(docker inspect --format '{{.State.ExitCode}}' "$(id "$service")")" 0
done
compose down 2>>"$work/log"
began=$(now)
compose up --detach --wait "${gateways[@]}" "${iams[@]}" 2>>"$work/log"
done_with "docker compose up, of containers made anew"
check "the same key" "$(echo_through "${gateways[0]}")" hello
docker images --format '{{.Repository}} {{.Size}}' --filter 'reference=tollgate-*'
