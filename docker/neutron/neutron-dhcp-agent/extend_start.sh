#!/bin/bash
# Sourced by neutron-base's part, as neutron.

# dnsmasq, which is not neutron, writes here too.
touch /var/log/kolla/neutron/dnsmasq.log
