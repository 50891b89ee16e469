#!/usr/bin/env bash
# A Cassandra of one node for tests, from Maven's jars, without Docker or root.
#
#   cassandra.sh start [PORT]   fetches it once, starts it if it is down, and prints its address
#   cassandra.sh stop           data and all
#
# Wants a Java 17 and, the first time, Maven (Debian: openjdk-17-jre-headless maven). The jars and the data lie in
# ${XDG_CACHE_HOME:-~/.cache}/tollgate. Everything acknowledged outlives the process, not the machine.
# CASSANDRA_JVM_OPTS are more options of the JVM; the default starts it in half the time and suits no measurement.
set -euo pipefail

version=5.0.8
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tollgate
jars=$cache/cassandra-$version
home=$cache/cassandra-test

die() { echo "cassandra.sh: $*" >&2; exit 1; }

fetch() {
    [ ! -d "$jars" ] || return 0
    command -v mvn >/dev/null || die "Maven is missing: apt-get install maven"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cat >"$work/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><packaging>pom</packaging>
  <groupId>tollgate</groupId><artifactId>jars</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>$version</version>
  </dependency></dependencies>
</project>
XML
    (cd "$work" && mvn -B -q dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib) >&2 ||
        die "Maven could not fetch the jars"
    mv -T "$work/lib" "$jars"
}

find_java() {
    for java in "${JAVA_HOME:-}/bin/java" "$(command -v java)" /usr/lib/jvm/java-17-openjdk-*/bin/java; do
        if [ -x "$java" ] && "$java" -version 2>&1 | grep -q 'version "17\.'; then echo "$java"; return; fi
    done
    die "there is no Java 17: apt-get install openjdk-17-jre-headless"
}

# Its pid, while that is still the process that serves this folder.
pid() {
    local pid
    pid=$(cat "$home/pid" 2>/dev/null) && grep -qF -- "-Dcassandra.storagedir=$home/data" "/proc/$pid/cmdline" 2>/dev/null &&
        echo "$pid"
}

# The CQL port opens last; OPTIONS is answered with SUPPORTED.
answers() (
    exec 3<>"/dev/tcp/127.0.0.1/$1" && printf '\4\0\0\0\5\0\0\0\0' >&3 &&
        [ "$(timeout 2 head -c 5 <&3 | od -An -tx1)" = ' 84 00 00 00 06' ]
) 2>/dev/null

configure() {
    mkdir -p "$home/conf/triggers" "$home/data"
    # batch: an acknowledged write is in the commit log. What is left out has its default.
    cat >"$home/conf/cassandra.yaml" <<YAML
cluster_name: tollgate-test
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
num_tokens: 1
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
native_transport_port: $1
storage_port: $(($1 + 1))
seed_provider: [{ class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{ seeds: 127.0.0.1 }] }]
commitlog_sync: batch
commitlog_segment_size: 8MiB
paxos_variant: v2
memtable_heap_space: 64MiB
memtable_offheap_space: 32MiB
file_cache_size: 32MiB
disk_access_mode: standard
auto_snapshot: false
YAML
    cat >"$home/conf/logback.xml" <<'XML'
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{HH:mm:ss.SSS} %-5level %logger{0} %msg%n%ex{5}</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
XML
}

launch() {
    local java module options=()
    java=$(find_java)
    for module in java.base/{java.io,java.lang,java.lang.module,java.lang.reflect,java.nio,java.util,java.util.concurrent} \
        java.base/{java.util.concurrent.atomic,jdk.internal.loader,jdk.internal.math,jdk.internal.module,jdk.internal.ref} \
        java.base/{jdk.internal.reflect,jdk.internal.util.jar,sun.nio.ch} jdk.management/com.sun.management.internal; do
        options+=(--add-opens "$module=ALL-UNNAMED")
    done
    for module in java.base/{java.lang.ref,jdk.internal.misc,jdk.internal.ref,sun.nio.ch} java.rmi/sun.rmi.{registry,server} \
        java.management.rmi/com.sun.jmx.remote.internal.rmi java.sql/java.sql jdk.unsupported/sun.misc; do
        options+=(--add-exports "$module=ALL-UNNAMED")
    done
    # shellcheck disable=SC2086  # several options in one variable
    setsid "$java" "${options[@]}" -javaagent:"$(echo "$jars"/jamm-*.jar)" \
        -Xms384m -Xmx384m -XX:+UseSerialGC -XX:MaxDirectMemorySize=192m -Xss512k -XX:+ExitOnOutOfMemoryError \
        -Djava.security.manager=allow -Djdk.attach.allowAttachSelf=true -Dio.netty.tryReflectionSetAccessible=true \
        -Djava.net.preferIPv4Stack=true -Dcassandra-foreground=yes -Dcassandra.config="file://$home/conf/cassandra.yaml" \
        -Dcassandra.storagedir="$home/data" -Dcassandra.logdir="$home" -Dcassandra.triggers_dir="$home/conf/triggers" \
        -Dcassandra.skip_sync=true -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=0 \
        -Dcassandra.shutdown_announce_in_ms=0 -Dcassandra.available_processors=2 \
        ${CASSANDRA_JVM_OPTS--XX:TieredStopAtLevel=1} -cp "$home/conf:$jars/*" \
        org.apache.cassandra.service.CassandraDaemon >"$home/log" 2>&1 </dev/null &
    echo $! >"$home/pid"
    # Until its exec the child is still this script.
    until pid >/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
}

start() {
    local port=${1:-9042}
    fetch
    if ! pid >/dev/null; then
        ! answers "$port" || die "something else answers CQL on port $port"
        configure "$port"
        launch
    fi
    until answers "$port"; do
        if ! pid >/dev/null || [ "$SECONDS" -gt 120 ]; then
            tail -n 20 "$home/log" >&2
            die "it does not answer on port $port: see $home/log"
        fi
        sleep 0.2
    done
    echo "127.0.0.1:$port"
}

stop() {
    local pid
    if pid=$(pid); then
        kill "$pid"
        while [ -d "/proc/$pid" ]; do sleep 0.1; done
    fi
    rm -rf "$home"
}

case ${1:-} in
    start | stop) "$@" ;;
    *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" ;;
esac
