#!/bin/bash
# Sourced by kolla_start, as prometheus.

mkdir -p /var/log/kolla/prometheus
