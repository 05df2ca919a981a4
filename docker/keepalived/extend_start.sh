#!/bin/bash
# Sourced by kolla_start, as root.

# Left by a container that was killed, it would keep the daemon from starting.
rm -f /run/keepalived.pid
