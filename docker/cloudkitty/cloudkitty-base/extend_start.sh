#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o cloudkitty -g kolla -m 755 /var/log/kolla/cloudkitty

# shellcheck source=/dev/null
. /usr/local/bin/kolla_cloudkitty_extend_start
