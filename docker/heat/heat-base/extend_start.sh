#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o heat -g kolla -m 755 /var/log/kolla/heat

# shellcheck source=/dev/null
. /usr/local/bin/kolla_heat_extend_start
