#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o cyborg -g kolla -m 755 /var/log/kolla/cyborg

# shellcheck source=/dev/null
. /usr/local/bin/kolla_cyborg_extend_start
