#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o watcher -g kolla -m 755 /var/log/kolla/watcher

# shellcheck source=/dev/null
. /usr/local/bin/kolla_watcher_extend_start
