#!/bin/bash
# Sourced by kolla_start, as opensearch.

mkdir -p -m 755 /var/log/kolla/opensearch
