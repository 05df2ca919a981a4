#!/bin/bash
# Sourced by barbican-base's part of the start, as barbican. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    barbican-db-manage upgrade
    exit 0
fi
