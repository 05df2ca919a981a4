# What the cloud's scripts share: names, places and messages.
# shellcheck shell=bash disable=SC2034 # the scripts that source this use them

set -euo pipefail

repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
here=$repository/tests/cloud
results=$repository/target/cloud
state=${KOLLA_BUILD_CLOUD_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/kolla-build-cloud}
arch=$(uname -m)
tag=${KOLLA_BUILD_CLOUD_TAG:-images-$arch}
stacks=(cloud services)

say() { printf 'cloud: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

kolla_run() { "$repository/target/release/kolla-run" --state-dir "$state" "$@"; }

# stack COMMAND NAME [OPTION...]: what kolla-run does with one of the cloud's stacks.
stack() { kolla_run "$1" "$repository/stacks/$2.yaml" --set "tag=$tag" "${@:3}"; }
