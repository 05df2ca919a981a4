#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o masakari -g kolla -m 755 /var/log/kolla/masakari

# shellcheck source=/dev/null
. /usr/local/bin/kolla_masakari_extend_start
