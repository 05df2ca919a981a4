#!/bin/bash
# Sourced by kolla_start, as glance, before what the service adds.

mkdir -p /var/log/kolla/glance

. kolla_glance_extend_start
