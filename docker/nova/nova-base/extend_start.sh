#!/bin/bash
# Sourced by kolla_start before what the service adds, as nova, or as root for
# services that drop their privileges themselves.

log_dir=/var/log/kolla/nova
mkdir -p "${log_dir}"
if [[ ${EUID} -eq 0 ]]; then
    chown nova:kolla "${log_dir}"
fi

. kolla_nova_extend_start
