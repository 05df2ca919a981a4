# What the demo's scripts share: names, places and messages.
# shellcheck shell=bash disable=SC2034 # the scripts that source this use them

set -euo pipefail

repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
state=${KOLLA_BUILD_DEMO_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/kolla-build-demo}
tag=demo
id=kolla_demo
services=(mariadb memcached keystone)
files=$state/$id/files

# Beside the usual ports, which the machine may need for services of its own.
MARIADB_PORT=${KOLLA_BUILD_DEMO_MARIADB_PORT:-23306}
MEMCACHED_PORT=${KOLLA_BUILD_DEMO_MEMCACHED_PORT:-21211}
KEYSTONE_PORT=${KOLLA_BUILD_DEMO_KEYSTONE_PORT:-25000}
keystone_url=http://127.0.0.1:$KEYSTONE_PORT/v3

say() { printf 'demo: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

kolla_run() { "$repository/target/release/kolla-run" --state-dir "$state" "$@"; }

# stack COMMAND [OPTION...]: what kolla-run does with the demo's stack.
stack() {
    kolla_run "$1" keystone --config-id "$id" --set "tag=$tag" --set "mariadb_port=$MARIADB_PORT" \
        --set "memcached_port=$MEMCACHED_PORT" --set "keystone_port=$KEYSTONE_PORT" "${@:2}"
}

image_of() {
    case $1 in
        mariadb) echo "kolla/mariadb-server:$tag" ;;
        *) echo "kolla/$1:$tag" ;;
    esac
}
