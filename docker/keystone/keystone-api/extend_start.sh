#!/bin/bash
# Sourced by kolla_start, as root. A step is asked for by a variable that is
# set, even to nothing; the container then does that step and exits.

log_dir=/var/log/kolla/keystone
install -d -o keystone -g kolla -m 755 "${log_dir}"
touch "${log_dir}/keystone.log"
chown keystone:keystone "${log_dir}/keystone.log"

db_sync() {
    # EXTRA_KEYSTONE_MANAGE_ARGS holds several words.
    sudo -H -u keystone keystone-manage ${EXTRA_KEYSTONE_MANAGE_ARGS-} db_sync "$@"
}

if [[ -v KOLLA_UPGRADE ]]; then
    db_sync --expand
    db_sync --migrate
    exit 0
fi

if [[ -v KOLLA_FINISH_UPGRADE ]]; then
    db_sync --contract
    exit 0
fi

if [[ -v KOLLA_BOOTSTRAP ]]; then
    db_sync
    exit 0
fi
