#!/bin/bash
# Sourced by heat-base's part of the start, as root. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    sudo -H -u heat heat-manage db_sync
    kolla_heat_user_domain
    exit 0
fi
