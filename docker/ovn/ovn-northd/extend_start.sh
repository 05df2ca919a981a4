#!/bin/bash
# Sourced by ovn-base's kolla_extend_start, as root.

touch /var/log/kolla/openvswitch/ovn-northd.log
chown openvswitch:openvswitch /var/log/kolla/openvswitch/ovn-northd.log
