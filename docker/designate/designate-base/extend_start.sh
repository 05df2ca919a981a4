#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o designate -g kolla -m 755 /var/log/kolla/designate

# shellcheck source=/dev/null
. /usr/local/bin/kolla_designate_extend_start
