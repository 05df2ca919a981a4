#!/bin/bash
# Sourced by kolla_start, as root, before the part of the image that is run.

install -d -m 755 /var/log/kolla/openvswitch

. /usr/local/bin/kolla_ovsdpdk_extend_start
