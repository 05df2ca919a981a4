#!/bin/bash
# Sourced by nova-base's part, as root. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.
# Beside the API's own database this is about cell0; nova-conductor does a cell's.

nova_manage() { sudo -H -u nova nova-manage "$@"; }

sync_databases() {
    nova_manage api_db sync
    nova_manage db sync --local_cell
}

if [[ -v KOLLA_BOOTSTRAP ]]; then
    sync_databases
    nova_manage db online_data_migrations
    exit 0
fi

if [[ -v KOLLA_UPGRADE ]]; then
    sync_databases
    exit 0
fi

# Once the services are those of the new release.
if [[ -v KOLLA_OSM ]]; then
    nova_manage db online_data_migrations
    exit 0
fi

if [[ -v KOLLA_UPGRADE_CHECK ]]; then
    # 0 is fine, 1 a warning, 2 a failure: whoever asked tells them apart.
    sudo -H -u nova nova-status upgrade check
    exit 0
fi
