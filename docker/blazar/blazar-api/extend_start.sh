#!/bin/bash
# Sourced by blazar-base's part of the start, as blazar. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    blazar-db-manage --config-file /etc/blazar/blazar.conf upgrade head
    exit 0
fi
