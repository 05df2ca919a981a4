#!/bin/bash
# Sourced by kolla_start, as root.

# Makes those that are missing.
ssh-keygen -A

# The other side logs in as haproxy. It may pass through the directory of the
# accounts, but not list it.
install -d -o haproxy -g haproxy /var/lib/haproxy/.ssh
install -d -o haproxy -g haproxy -m 751 /etc/letsencrypt
install -d -o haproxy -g haproxy -m 755 /etc/letsencrypt/backups
