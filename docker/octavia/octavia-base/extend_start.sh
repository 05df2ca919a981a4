#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o octavia -g kolla -m 755 /var/log/kolla/octavia

# shellcheck source=/dev/null
. /usr/local/bin/kolla_octavia_extend_start
