#!/bin/bash
# Sourced by manila-base's part of the start, as manila. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    manila-manage db sync
    exit 0
fi
