#!/bin/bash
# Sourced by kolla_start, as etcd.

mkdir -p /var/log/kolla/etcd

if [[ $(stat -c %U /var/lib/etcd/) != etcd ]]; then
    sudo /usr/bin/chown etcd: /var/lib/etcd/
fi
