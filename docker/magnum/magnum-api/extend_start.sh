#!/bin/bash
# Sourced by magnum-base's part of the start, as magnum. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    magnum-db-manage upgrade
    exit 0
fi
