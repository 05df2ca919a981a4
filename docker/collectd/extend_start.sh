#!/bin/bash
# Sourced by kolla_start, as collectd.

install -d -m 755 /var/log/kolla/collectd
