#!/bin/bash
# Sourced by kolla_start, as root.

# Kept in a volume: storage knows the host by it.
if [[ ! -f /etc/iscsi/initiatorname.iscsi ]]; then
    echo "InitiatorName=$(/sbin/iscsi-iname)" >/etc/iscsi/initiatorname.iscsi
fi
