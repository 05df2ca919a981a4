#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o tacker -g kolla -m 755 /var/log/kolla/tacker

# shellcheck source=/dev/null
. /usr/local/bin/kolla_tacker_extend_start
