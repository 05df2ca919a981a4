#!/bin/bash
# Sourced by gnocchi-base's part of the start, as root. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    sudo -H -u gnocchi gnocchi-upgrade --log-file /var/log/kolla/gnocchi/gnocchi-upgrade.log
    exit 0
fi
