#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o barbican -g kolla -m 755 /var/log/kolla/barbican

# A volume that something else made may belong to root.
if [[ $(stat -c %U /var/lib/barbican) != barbican ]]; then
    sudo chown -R barbican: /var/lib/barbican/
fi

# shellcheck source=/dev/null
. /usr/local/bin/kolla_barbican_extend_start
