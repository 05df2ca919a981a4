#!/bin/bash
# Sourced by kolla_start, as valkey.

mkdir -p /var/log/kolla/valkey
