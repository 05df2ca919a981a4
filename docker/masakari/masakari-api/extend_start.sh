#!/bin/bash
# Sourced by masakari-base's part of the start, as root. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    sudo -H -u masakari masakari-manage db sync
    exit 0
fi
