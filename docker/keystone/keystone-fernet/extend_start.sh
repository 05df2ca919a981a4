#!/bin/bash
# Sourced by kolla_start, as root.

# A deployment of several nodes gives a script that waits for the first keys.
if [[ -f /usr/bin/fernet-node-sync.sh ]]; then
    /usr/bin/fernet-node-sync.sh
fi

# A new volume belongs to root.
chown keystone:keystone /etc/keystone/fernet-keys
