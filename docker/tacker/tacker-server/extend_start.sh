#!/bin/bash
# Sourced by tacker-base's part of the start, as tacker. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    tacker-db-manage --config-file /etc/tacker/tacker.conf upgrade head
    exit 0
fi
