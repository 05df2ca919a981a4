#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o ceilometer -g kolla -m 755 /var/log/kolla/ceilometer

# shellcheck source=/dev/null
. /usr/local/bin/kolla_ceilometer_extend_start
