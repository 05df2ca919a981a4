#!/bin/bash
# Sourced by kolla_start, as grafana.

mkdir -p -m 755 /var/log/kolla/grafana
