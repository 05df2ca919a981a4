#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o blazar -g kolla -m 755 /var/log/kolla/blazar

# shellcheck source=/dev/null
. /usr/local/bin/kolla_blazar_extend_start
