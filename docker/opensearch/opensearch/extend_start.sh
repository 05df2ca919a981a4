#!/bin/bash
# Sourced by kolla_start, as opensearch.

install -d -m 755 /var/log/kolla/opensearch
