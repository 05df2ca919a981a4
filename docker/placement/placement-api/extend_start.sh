#!/bin/bash
# Sourced by placement-base's part, as root. A step is asked for by a variable
# that is set, even to nothing; the container then does that step and exits.

placement_manage() { sudo -H -u placement placement-manage "$@"; }

if [[ -v KOLLA_BOOTSTRAP ]]; then
    placement_manage db sync
    placement_manage db online_data_migrations
    exit 0
fi

if [[ -v KOLLA_UPGRADE ]]; then
    placement_manage db sync
    exit 0
fi

# Once the services are those of the new release.
if [[ -v KOLLA_OSM ]]; then
    placement_manage db online_data_migrations
    exit 0
fi
