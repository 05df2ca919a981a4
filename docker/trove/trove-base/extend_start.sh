#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o trove -g kolla -m 755 /var/log/kolla/trove

# shellcheck source=/dev/null
. /usr/local/bin/kolla_trove_extend_start
