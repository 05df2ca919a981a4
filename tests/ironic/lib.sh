# What these scripts share: names, places and messages.
# shellcheck shell=bash disable=SC2034 # the scripts that source this use them

set -euo pipefail

repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
results=$repository/target/ironic
state=${KOLLA_BUILD_IRONIC_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/kolla-build-ironic}
programs=${KOLLA_BUILD_PROGRAMS:-$repository/target/release}
tag=${KOLLA_BUILD_IRONIC_TAG:-ironic}

say() { printf 'ironic: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

kolla_run() { "$programs/kolla-run" --state-dir "$state" "$@"; }
