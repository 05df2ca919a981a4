#!/bin/bash
# Sourced by nova-base's part, as nova: the steps for the database of a cell. A
# step is asked for by a variable that is set, even to nothing; the container
# then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    nova-manage db sync --local_cell
    nova-manage db online_data_migrations
    exit 0
fi

if [[ -v KOLLA_UPGRADE ]]; then
    nova-manage db sync --local_cell
    exit 0
fi

# Once the services are those of the new release.
if [[ -v KOLLA_OSM ]]; then
    nova-manage db online_data_migrations
    exit 0
fi
