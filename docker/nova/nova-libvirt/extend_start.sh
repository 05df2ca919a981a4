#!/bin/bash
# Sourced by kolla_start, as root.

# libvirtd would make a log that only root can read.
log=/var/log/kolla/libvirt/libvirtd.log
install -d -m 755 "${log%/*}"
touch "${log}"
chmod 644 "${log}"
