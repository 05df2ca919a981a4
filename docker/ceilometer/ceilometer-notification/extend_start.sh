#!/bin/bash
# Sourced by ceilometer-base's part of the start, as ceilometer. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    # Only gnocchi has resource types to make.
    if [[ ${CEILOMETER_DATABASE_TYPE-} == gnocchi ]]; then
        # shellcheck disable=SC2086 # several options in one variable
        ceilometer-upgrade ${CEILOMETER_UPGRADE_PARAMS-}
    fi
    sudo chown -R ceilometer: /var/lib/ceilometer/
    exit 0
fi
