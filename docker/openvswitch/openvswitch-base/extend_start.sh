#!/bin/bash
# Sourced by kolla_start, as root.

mkdir -p /var/log/kolla/openvswitch
chown -R openvswitch:openvswitch /var/log/kolla/openvswitch

. /usr/local/bin/kolla_openvswitch_extend_start
