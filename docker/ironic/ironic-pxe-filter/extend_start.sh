#!/bin/bash
# Sourced by ironic-base's part of the start, as root. The filter begins with no
# host known; dnsmasq, in the same process namespace, forgets those it had read.

rm -f "${IRONIC_DHCP_HOSTS_DIR:-/etc/dnsmasq/dhcp-hostsdir}"/*

dnsmasq_pid_file=${DNSMASQ_PIDFILE:-/run/ironic/dnsmasq.pid}
if [[ -f ${dnsmasq_pid_file} ]]; then
    # It may have ended, or not have begun.
    kill -HUP "$(cat "${dnsmasq_pid_file}")" || true
fi
