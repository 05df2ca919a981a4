#!/bin/bash
# Sourced by neutron-base's part. A step is asked for by a variable that is set,
# even to nothing; the container then does that step and exits. Plugins whose
# tables are wanted beside neutron's own are listed by name in another variable.

# Left unquoted below: lists of several names.
upgrade() {
    local direction=$1 project
    shift
    for project in neutron "$@"; do
        neutron-db-manage --subproject "${project}" upgrade "${direction}"
    done
}

if [[ -v KOLLA_BOOTSTRAP ]]; then
    upgrade head ${NEUTRON_BOOTSTRAP_SERVICES-}
    exit 0
fi

if [[ -v KOLLA_UPGRADE ]]; then
    if [[ -v NEUTRON_DB_EXPAND ]]; then
        upgrade --expand ${NEUTRON_ROLLING_UPGRADE_SERVICES-}
    fi
    if [[ -v NEUTRON_DB_CONTRACT ]]; then
        upgrade --contract ${NEUTRON_ROLLING_UPGRADE_SERVICES-}
    fi
    exit 0
fi
