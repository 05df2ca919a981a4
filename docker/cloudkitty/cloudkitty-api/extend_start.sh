#!/bin/bash
# Sourced by cloudkitty-base's part of the start, as root. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    sudo -H -u cloudkitty cloudkitty-dbsync upgrade
    sudo -H -u cloudkitty cloudkitty-storage-init
    exit 0
fi
