#!/bin/bash
# Sourced by cinder-base's part of the start, as cinder. Both may be volumes
# that other containers use, as their own users.

for directory in /var/lib/cinder /etc/iscsi; do
    if [[ -d ${directory} && $(stat -c %U:%G:%a "${directory}") != cinder:kolla:2775 ]]; then
        sudo chown -R cinder:kolla "${directory}"
        sudo chmod 2775 "${directory}"
    fi
done
