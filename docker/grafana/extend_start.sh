#!/bin/bash
# Sourced by kolla_start, as grafana.

install -d -m 755 /var/log/kolla/grafana
