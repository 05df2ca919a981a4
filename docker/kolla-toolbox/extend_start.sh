#!/bin/bash
# Sourced by kolla_start, as ansible.

# Others of the group, as which plays may run, write to it too.
log=/var/log/kolla/ansible.log
if [[ ! -e ${log} ]]; then
    touch "${log}"
    chmod 664 "${log}"
fi
