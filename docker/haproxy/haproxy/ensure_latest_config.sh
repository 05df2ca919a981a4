#!/bin/bash
# Run in the container, as root: takes over a haproxy.cfg that has changed since
# the last start, and prints "changed" if it had. No connection is dropped.

set -o errexit -o nounset -o pipefail

if ! cmp --silent /var/lib/kolla/config_files/haproxy.cfg /etc/haproxy/haproxy.cfg; then
    kolla_set_configs
    # The master reads its configuration again and starts new workers; the old
    # ones serve the connections that they have.
    kill -USR2 "$(cat /run/haproxy.pid)"
    echo changed
fi
