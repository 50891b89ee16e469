#!/usr/bin/env bash
# What an admin takes away is gone with the answer: 5 000 live sockets in calls, 2 000 revocations of six
# kinds, on one tollgate, then on three gateways and one IAM as processes of their own. Ends with status 1
# if one success came after an answer, a victim's socket was not closed as it should be, or a
# bystander saw an error.
#   bench/revocation.sh                                     takes about five minutes, without the build
#   PROFILE=dev SOCKETS=200 REVOCATIONS=60 RATE=400 bench/revocation.sh
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${PROFILE:-release}
cargo build --profile "$profile" --locked -p tollgate -p tollgate-gateway -p tollgate-iam -p tollgate-bench
folder=$profile
[ "$profile" != dev ] || folder=debug

for gateways in ${GATEWAYS:-1 3}; do
    "${CARGO_TARGET_DIR:-target}/$folder/tollgate-bench" revoke --gateways "$gateways" \
        --sockets "${SOCKETS:-5000}" --revocations "${REVOCATIONS:-2000}" --rate "${RATE:-2500}"
    echo
done
