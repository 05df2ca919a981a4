#!/bin/bash
# Sourced by ovsdpdk's part of the start, as root.

database=/var/lib/openvswitch/conf.db
mkdir -p /run/openvswitch "${database%/*}"

if [[ ! -e ${database} ]]; then
    ovsdb-tool create "${database}"
fi
