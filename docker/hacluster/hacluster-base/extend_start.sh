#!/bin/bash
# Sourced by kolla_start, as root.

install -d -m 755 /var/log/kolla/hacluster
