#!/bin/bash
# Sourced by kolla_start, as root.

mkdir -p -m 755 /var/log/kolla/hacluster
