#!/bin/bash
# Sourced by kolla_start, before the part of the image that is run.

install -d -o aodh -g kolla -m 755 /var/log/kolla/aodh

# A volume that something else made may belong to root.
if [[ $(stat -c %U /var/lib/aodh) != aodh ]]; then
    sudo chown -R aodh: /var/lib/aodh/
fi

# shellcheck source=/dev/null
. /usr/local/bin/kolla_aodh_extend_start
