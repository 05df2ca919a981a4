#!/bin/bash
# Sourced by kolla_start, as root, before the part of the image that is run.

install -d -m 755 /var/log/kolla/letsencrypt

# HAProxy's host fetches certificates as haproxy. It may pass through the directory of the
# accounts, but not list it.
install -d -o haproxy -g haproxy -m 751 /etc/letsencrypt
install -d -o haproxy -g haproxy -m 755 /etc/letsencrypt/lego{,/internal,/external}

# What proves that the names are ours is served by a web server, which every distribution runs as another user.
if getent passwd www-data >/dev/null; then
    web=www-data
elif getent passwd apache >/dev/null; then
    web=apache
else
    web=root
fi
install -d -o "${web}" -g "${web}" -m 755 /etc/letsencrypt/http-01{,/.well-known,/.well-known/acme-challenge}

# shellcheck source=/dev/null
. /usr/local/bin/kolla_letsencrypt_extend_start
