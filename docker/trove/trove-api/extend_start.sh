#!/bin/bash
# Sourced by trove-base's part of the start, as root. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    sudo -H -u trove trove-manage db_sync
    exit 0
fi
