#!/bin/bash
# Sourced by kolla_start, as rabbitmq.

mkdir -p "${RABBITMQ_LOG_DIR:=/var/log/kolla/rabbitmq}"

# The cookie lets nodes into a cluster. It is read-only: one of an earlier
# bootstrap can be removed, but not written over.
if [[ -v KOLLA_BOOTSTRAP ]]; then
    set +o xtrace
    cookie=/var/lib/rabbitmq/.erlang.cookie
    rm -f "${cookie}"
    (umask 377 && echo "${RABBITMQ_CLUSTER_COOKIE}" >"${cookie}")
    exit 0
fi
