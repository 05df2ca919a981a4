#!/bin/bash
# Sourced by glance-base's part. A step is asked for by a variable that is set,
# even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    glance-manage db_sync
    glance-manage db_load_metadefs
    exit 0
fi

if [[ -v KOLLA_UPGRADE ]]; then
    if [[ -v GLANCE_DB_EXPAND ]]; then
        glance-manage db expand
    fi
    if [[ -v GLANCE_DB_MIGRATE ]]; then
        glance-manage db migrate
    fi
    if [[ -v GLANCE_DB_CONTRACT ]]; then
        glance-manage db contract
    fi
    exit 0
fi
