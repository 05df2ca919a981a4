#!/bin/bash
# Sourced by kolla_start, as valkey.

mkdir -p /var/log/kolla/valkey

# Sentinel writes what it learns into the file that it was started with. It gets
# a copy, or else kolla_set_configs --check would call its configuration changed.
if [[ -n ${VALKEY_CONF-} && -n ${VALKEY_GEN_CONF-} ]]; then
    cp "${VALKEY_CONF}" "${VALKEY_GEN_CONF}"
fi
