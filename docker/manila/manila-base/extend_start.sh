#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o manila -g kolla -m 755 /var/log/kolla/manila

# shellcheck source=/dev/null
. /usr/local/bin/kolla_manila_extend_start
