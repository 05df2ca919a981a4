#!/bin/bash
# Sourced by cinder-base's part of the start, as root. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    sudo -H -u cinder cinder-manage db sync
    exit 0
fi

if [[ -v KOLLA_OSM ]]; then
    sudo -H -u cinder cinder-manage db online_data_migrations
    exit 0
fi
