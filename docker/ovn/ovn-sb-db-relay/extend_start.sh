#!/bin/bash
# Sourced by ovn-base's kolla_extend_start, as root. A host may run several relays.

log=/var/log/kolla/openvswitch/ovn-sb-relay-${RELAY_ID}.log
touch "${log}"
chown openvswitch:openvswitch "${log}"
