#!/bin/bash
# Sourced by kolla_start, as root. It serves ironic's nodes.

mkdir -p /var/log/kolla/ironic
touch /var/log/kolla/ironic/dnsmasq.log
chown ironic:ironic /var/log/kolla/ironic/dnsmasq.log

# ironic-pxe-filter, in another container of the same process namespace, tells
# dnsmasq to read its hosts again. In the foreground dnsmasq writes no such file itself.
pidfile=${DNSMASQ_PIDFILE:-/run/ironic/dnsmasq.pid}
mkdir -p "$(dirname "${pidfile}")"
echo $$ >"${pidfile}"
