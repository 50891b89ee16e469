#!/usr/bin/env bash
# A Cassandra for tests, from Maven's jars, without Docker or root: one node, or three on 127.0.0.1 to 127.0.0.3.
#
#   cassandra.sh start [PORT [NODES]]   fetches it once, starts what is down of it, and prints its addresses
#   cassandra.sh kill NODE              SIGKILL; `start PORT NODES` brings it back with its data
#   cassandra.sh stop [PORT]            data and all
#
# Each port is a cluster of its own, so as many as there is memory for (0.7 GB a node) run beside each other. `start` takes
# a free one if none is named, or 0; `kill` and `stop` mean the one that TOLLGATE_CQL names. PORT + 1 is taken, too.
#
# Wants a Java 17 and, the first time, Maven (Debian: openjdk-17-jre-headless maven). The jars, which all share, and the data
# lie in ${XDG_CACHE_HOME:-~/.cache}/tollgate. Everything acknowledged outlives the process, not the machine.
# CASSANDRA_JVM_OPTS are more options of the JVM; the default starts it in half the time and suits no measurement.
set -euo pipefail

version=5.0.8
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tollgate
jars=$cache/cassandra-$version
clusters=$cache/clusters
otherwise="Any other Cassandra or ScyllaDB will do: export TOLLGATE_CQL=host:port"

nodes=1

addresses() { seq -f '127.0.0.%g' "$nodes"; }

die() { echo "cassandra.sh: $*" >&2; exit 1; }

# Whole or not at all, and by one at a time.
fetch() (
    [ ! -d "$jars" ] || exit 0
    mkdir -p "$cache"
    exec 9>>"$cache/lock"
    flock -n 9 || { echo "cassandra.sh: somebody else fetches the jars" >&2; flock 9; }
    [ ! -d "$jars" ] || exit 0
    command -v mvn >/dev/null || die "Maven is missing: apt-get install maven. $otherwise"
    rm -rf "$jars.part"
    mkdir "$jars.part"
    cat >"$jars.part/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><packaging>pom</packaging>
  <groupId>tollgate</groupId><artifactId>jars</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>$version</version>
  </dependency></dependencies>
</project>
XML
    (cd "$jars.part" && mvn -B -q dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib) >&2 ||
        die "Maven could not fetch the jars: let it reach Maven Central or a mirror of it (~/.m2/settings.xml). $otherwise"
    mv -T "$jars.part/lib" "$jars"
    rm -r "$jars.part"
)

find_java() {
    for java in "${JAVA_HOME:-}/bin/java" "$(command -v java)" /usr/lib/jvm/java-17-openjdk-*/bin/java; do
        if [ -x "$java" ] && "$java" -version 2>&1 | grep -q 'version "17\.'; then return; fi
    done
    die "there is no Java 17: apt-get install openjdk-17-jre-headless, or name one in JAVA_HOME. $otherwise"
}

# The pid of a node, while that is still the process that serves its folder.
pid() {
    local pid
    pid=$(cat "$home/$1/pid" 2>/dev/null) &&
        grep -qF -- "-Dcassandra.storagedir=$home/$1/data" "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
}

# The CQL port opens last; OPTIONS is answered with SUPPORTED.
answers() (
    exec 3<>"/dev/tcp/127.0.0.$1/$2" && printf '\4\0\0\0\5\0\0\0\0' >&3 &&
        [ "$(timeout 2 head -c 5 <&3 | od -An -tx1)" = ' 84 00 00 00 06' ]
) 2>/dev/null

configure() {
    local node=$1 port=$2 folder=$home/$1
    mkdir -p "$folder/conf/triggers" "$folder/data"
    # batch: an acknowledged write is in the commit log. What is left out has its default.
    cat >"$folder/conf/cassandra.yaml" <<YAML
cluster_name: tollgate-test
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
num_tokens: 1
listen_address: 127.0.0.$node
rpc_address: 127.0.0.$node
native_transport_port: $port
storage_port: $((port + 1))
seed_provider: # all of them: seeds join at once and wait for nobody
  - { class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{ seeds: "$(addresses | paste -sd,)" }] }
commitlog_sync: batch
commitlog_segment_size: 8MiB
paxos_variant: v2
memtable_heap_space: 64MiB
memtable_offheap_space: 32MiB
file_cache_size: 32MiB
disk_access_mode: standard
auto_snapshot: false
YAML
    cat >"$folder/conf/logback.xml" <<'XML'
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{HH:mm:ss.SSS} %-5level %logger{0} %msg%n%ex{5}</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
XML
}

launch() {
    local node=$1 folder=$home/$1 module options=()
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
        -Djava.net.preferIPv4Stack=true -Dcassandra-foreground=yes -Dcassandra.config="file://$folder/conf/cassandra.yaml" \
        -Dcassandra.storagedir="$folder/data" -Dcassandra.logdir="$folder" -Dcassandra.triggers_dir="$folder/conf/triggers" \
        -Dcassandra.skip_sync=true -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.ring_delay_ms=0 \
        -Dcassandra.shutdown_announce_in_ms=0 -Dcassandra.available_processors=2 \
        -Dcassandra.initial_token=$((node - 1))000000000000000000 \
        ${CASSANDRA_JVM_OPTS--XX:TieredStopAtLevel=1} -cp "$folder/conf:$jars/*" \
        org.apache.cassandra.service.CassandraDaemon >"$folder/log" 2>&1 </dev/null &
    disown
    echo $! >"$folder/pid"
    # Until its exec the child is still this script.
    until pid "$node" >/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
}

# Every node answers, and the last that it heard of each other one is that it came up.
settled() {
    local node address
    for node in $(seq "$nodes"); do
        answers "$node" "$1" || return 1
        for address in $(addresses); do
            [ "$address" = "127.0.0.$node" ] ||
                [[ $(grep -o "/$address:[0-9]* is now [A-Z]*" "$home/$node/log" | tail -1) == *UP ]] || return 1
        done
    done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A free port, by a folder that nobody else makes. Linux gives connections higher ones.
reserve() {
    local port
    mkdir -p "$clusters"
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 5000 * 2))
        if ! listens "$port" && ! listens $((port + 1)) && mkdir "$clusters/$port" 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    die "no folder for a free port could be made in $clusters: name a port"
}

start() {
    local port=${1:-0} node deadline
    nodes=${2:-1}
    fetch
    find_java
    [ "$port" != 0 ] || port=$(reserve)
    home=$clusters/$port
    # Whatever goes wrong leaves no process.
    trap end_all EXIT
    for node in $(seq "$nodes"); do
        if ! pid "$node" >/dev/null; then
            ! answers "$node" "$port" || die "something else answers CQL on 127.0.0.$node:$port: name another port, or none"
            configure "$node" "$port"
            launch "$node"
        fi
    done
    deadline=$((SECONDS + 120))
    until settled "$port"; do
        for node in $(seq "$nodes"); do
            if ! pid "$node" >/dev/null || [ "$SECONDS" -gt "$deadline" ]; then
                tail -n 20 "$home/$node/log" >&2
                die "it does not answer on 127.0.0.$node:$port. $home/$node/log should say why;" \
                    "\`$0 stop $port\` removes it, and \`$0 start\` tries another port. $otherwise"
            fi
        done
        sleep 0.2
    done
    trap - EXIT
    addresses | sed "s/\$/:$port/" | paste -sd,
}

# The cluster of a port, or that of TOLLGATE_CQL.
choose() {
    local port=${1:-}
    [[ -n $port || ! ${TOLLGATE_CQL:-} =~ ^127\.0\.0\.1:([0-9]+) ]] || port=${BASH_REMATCH[1]}
    home=$clusters/$port
    [[ -n $port && -d $home ]] || die "which port? There are: $(ls -m "$clusters" 2>/dev/null)"
}

end_node() {
    local pid
    pid=$(pid "$1") || return 0
    kill -9 "$pid" || true
    while [ -d "/proc/$pid" ]; do sleep 0.02; done
}

end_all() {
    local folder
    for folder in "$home"/*/; do end_node "$(basename "$folder")"; done
}

case ${1:-} in
    start) shift; start "$@" ;;
    kill) choose; pid "$2" >/dev/null || die "node $2 is not running"; end_node "$2" ;;
    stop) choose "${2:-}"; end_all; rm -rf "$home" ;;
    *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" ;;
esac
