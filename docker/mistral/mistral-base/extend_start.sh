#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o mistral -g kolla -m 755 /var/log/kolla/mistral

# shellcheck source=/dev/null
. /usr/local/bin/kolla_mistral_extend_start
