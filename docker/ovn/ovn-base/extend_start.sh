#!/bin/bash
# Sourced by kolla_start, as root.

mkdir -p /run/ovn /var/log/kolla/openvswitch

. /usr/local/bin/kolla_ovn_extend_start
