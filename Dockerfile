# The images of the two services, of the command line, and of what makes their secrets:
#   docker build --target gateway -t tollgate-gateway .        (or iam, tg, …)
# One stage builds all programs, and of it only they are in what runs. docker-compose.yml shows how
# the images are meant to run.

FROM rust:1.95-bookworm AS build
# release, or dist: what benches measure, 20 times the time to link.
ARG PROFILE=release
WORKDIR /src
COPY . .
# What was compiled is kept between builds, in mounts that are in no image. cargo knows by its time
# whether a file has changed, and a checkout may make files older than what was built of others.
RUN --mount=type=cache,id=tollgate-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=tollgate-target,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
 && cargo build --locked --profile "$PROFILE" -p tollgate-gateway -p tollgate-iam -p tollgate-cli \
 && install -D -t /out "target/$PROFILE/tollgate-gateway" "target/$PROFILE/tollgate-iam" "target/$PROFILE/tg" \
 && install -d -m 700 /out/data/tollgate

# libc, libgcc, certificates and users; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot AS server
USER 65532:65532
# A tollgate.toml that is mounted here is read.
WORKDIR /etc/tollgate

FROM server AS gateway
COPY --from=build /out/tollgate-gateway /usr/local/bin/
EXPOSE 8088
# It is healthy when it has heard of IAM, which may take as long.
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s CMD ["tollgate-gateway", "healthcheck"]
ENTRYPOINT ["tollgate-gateway"]

FROM server AS iam
COPY --from=build /out/tollgate-iam /usr/local/bin/
# A volume that is mounted over /var/lib/tollgate for the first time takes its owner and mode.
COPY --from=build --chown=65532:65532 /out/data /var/lib
ENV TOLLGATE_IAM__DATA_DIR=/var/lib/tollgate
EXPOSE 8090
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s CMD ["tollgate-iam", "healthcheck"]
ENTRYPOINT ["tollgate-iam"]

FROM server AS tg
COPY --from=build /out/tg /usr/local/bin/
ENTRYPOINT ["tg"]

FROM debian:bookworm-slim AS secrets
COPY --chmod=755 deploy/make-secrets /usr/local/bin/
# As above.
RUN install -d -m 700 -o 65532 -g 65532 /secrets/link
USER 65532:65532
ENTRYPOINT ["make-secrets"]

FROM secrets AS cluster-secrets
USER root
RUN apt-get update && apt-get install -y --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*
RUN install -d -m 700 -o 65532 -g 65532 /secrets/iam && install -d -m 755 -o 65532 -g 65532 /secrets/scylla
USER 65532:65532
