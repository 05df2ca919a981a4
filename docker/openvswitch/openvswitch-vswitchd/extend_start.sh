#!/bin/bash
# Sourced by openvswitch-base's kolla_extend_start, as root.

touch /var/log/kolla/openvswitch/ovs-vswitchd.log
chown openvswitch:openvswitch /var/log/kolla/openvswitch/ovs-vswitchd.log

# Bridges whose datapath_type is netdev work without.
if [[ ! -e /sys/module/openvswitch ]] && ! modprobe openvswitch; then
    echo "The kernel has no Open vSwitch: only bridges with the datapath type netdev will work" >&2
fi
