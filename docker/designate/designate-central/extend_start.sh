#!/bin/bash
# Sourced by designate-base's part of the start, as designate. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    designate-manage database sync
    exit 0
fi
