#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o skyline -g kolla -m 755 /var/log/kolla/skyline
install -d -o skyline -g kolla -m 755 /var/lib/skyline

# shellcheck source=/dev/null
. /usr/local/bin/kolla_skyline_extend_start
