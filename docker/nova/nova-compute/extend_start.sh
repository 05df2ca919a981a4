#!/bin/bash
# Sourced by nova-base's part, as nova.

mkdir -p /var/lib/nova/instances
