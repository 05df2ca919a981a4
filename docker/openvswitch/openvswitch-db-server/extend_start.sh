#!/bin/bash
# Sourced by openvswitch-base's kolla_extend_start, as root.

database=/var/lib/openvswitch/conf.db
mkdir -p /run/openvswitch "${database%/*}"

if [[ ! -e ${database} ]]; then
    ovsdb-tool create "${database}"
elif [[ $(ovsdb-tool needs-conversion "${database}") == yes ]]; then
    ovsdb-tool convert "${database}"
fi

touch /var/log/kolla/openvswitch/ovsdb-server.log
chown openvswitch:openvswitch /var/log/kolla/openvswitch/ovsdb-server.log
