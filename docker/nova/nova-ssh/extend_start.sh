#!/bin/bash
# Sourced by kolla_start, as root.

# Makes those that are missing.
ssh-keygen -A
install -d -o nova -g nova -m 700 /var/lib/nova/.ssh
