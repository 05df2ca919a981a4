#!/bin/bash
# Sourced by watcher-base's part of the start, as watcher. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    watcher-db-manage --config-file /etc/watcher/watcher.conf upgrade
    exit 0
fi
