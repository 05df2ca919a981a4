#!/bin/bash
# Sourced by kolla_start, as root.

# Those that are missing: an image must not bring keys that all its containers share.
ssh-keygen -A
install -d -o nova -g nova -m 700 /var/lib/nova/.ssh
