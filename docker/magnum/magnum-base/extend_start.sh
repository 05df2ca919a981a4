#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o magnum -g kolla -m 755 /var/log/kolla/magnum

# shellcheck source=/dev/null
. /usr/local/bin/kolla_magnum_extend_start
