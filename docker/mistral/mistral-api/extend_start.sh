#!/bin/bash
# Sourced by mistral-base's part of the start, as root. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    sudo -H -u mistral mistral-db-manage --config-file /etc/mistral/mistral.conf upgrade head
    sudo -H -u mistral mistral-db-manage --config-file /etc/mistral/mistral.conf populate
    exit 0
fi
