#!/bin/bash
# Sourced by skyline-base's part of the start, as skyline. A step is asked for by a variable that
# is set, even to nothing; the container then does that step and exits.

if [[ -v KOLLA_BOOTSTRAP ]]; then
    # Alembic's configuration names its scripts from the directory that it is in.
    cd "$(python3 -c 'import skyline_apiserver; print(*skyline_apiserver.__path__)')/db/alembic" || exit
    alembic upgrade head
    exit 0
fi
