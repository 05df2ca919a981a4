#!/bin/bash
# Sourced by kolla_start, as fluentd.

mkdir -p /var/log/kolla
if [[ $(stat -c %U:%G /var/log/kolla) != fluentd:kolla ]]; then
    sudo /usr/bin/chown fluentd:kolla /var/log/kolla
fi
# What a service makes there belongs to the group kolla.
if [[ $(stat -c %a /var/log/kolla) != 2775 ]]; then
    sudo /usr/bin/chmod 2775 /var/log/kolla
fi

if [[ -d /var/lib/fluentd && $(stat -c %U:%G /var/lib/fluentd) != fluentd:kolla ]]; then
    sudo /usr/bin/chown fluentd:kolla /var/lib/fluentd
fi
