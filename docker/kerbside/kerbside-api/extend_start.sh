#!/bin/bash
# Sourced by kolla_start, as kerbside.

mkdir -p /var/log/kolla/kerbside
