#!/bin/bash
# Sourced by kolla_start, as root, before what the service adds.

log_dir=/var/log/kolla/placement
install -d -o placement -g kolla -m 755 "${log_dir}"
touch "${log_dir}/placement-api.log"
chown placement:kolla "${log_dir}/placement-api.log"

. kolla_placement_extend_start
