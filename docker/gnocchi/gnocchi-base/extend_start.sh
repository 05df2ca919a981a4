#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o gnocchi -g kolla -m 755 /var/log/kolla/gnocchi

# shellcheck source=/dev/null
. /usr/local/bin/kolla_gnocchi_extend_start
