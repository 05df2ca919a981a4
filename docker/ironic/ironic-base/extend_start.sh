#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o ironic -g kolla -m 755 /var/log/kolla/ironic

# Where the conductor leaves what the exporter reads. A volume that something else made may belong to root.
if [[ $(stat -c %U:%G:%a /var/lib/ironic-metrics) != ironic:ironic:2775 ]]; then
    sudo install -d -o ironic -g ironic -m 2775 /var/lib/ironic-metrics
fi

# shellcheck source=/dev/null
. /usr/local/bin/kolla_ironic_extend_start
