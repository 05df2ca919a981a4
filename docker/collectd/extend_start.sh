#!/bin/bash
# Sourced by kolla_start, as collectd.

mkdir -p -m 755 /var/log/kolla/collectd
