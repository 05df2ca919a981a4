#!/bin/bash

set -o errexit
set -o pipefail
set -o nounset
set -o xtrace

# Root's part of the start: services are in group kolla, which may run exactly these.
sudo -E kolla_set_configs
CMD=$(cat /run_command)
ARGS=""
sudo kolla_copy_cacerts
sudo kolla_install_projects

# Sourced, so that it may extend ARGS, set variables for the service, or exit
# when a bootstrap was all that was asked for. Set but empty also skips it.
if [[ -z "${KOLLA_SKIP_EXTEND_START+set}" ]]; then
    . kolla_extend_start
fi

echo "Running command: '${CMD}${ARGS:+ $ARGS}'"
# Unquoted: the command of a config is a list of words, not a shell script.
exec ${CMD} ${ARGS}
