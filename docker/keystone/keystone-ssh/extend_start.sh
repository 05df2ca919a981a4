#!/bin/bash
# Sourced by kolla_start, as root.

# Makes those that are missing.
ssh-keygen -A
install -d -o keystone -g keystone -m 700 /var/lib/keystone/.ssh
