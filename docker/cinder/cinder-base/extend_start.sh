#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o cinder -g kolla -m 755 /var/log/kolla/cinder

# shellcheck source=/dev/null
. /usr/local/bin/kolla_cinder_extend_start
