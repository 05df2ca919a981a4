#!/bin/bash
# Sourced by kolla_start, as neutron, before what the service adds.

mkdir -p /var/log/kolla/neutron

# Rules of the old and the new iptables do not see each other: a host that still
# has the old one says so. Rocky has only the new one.
if [[ ${KOLLA_LEGACY_IPTABLES-} == true && ${KOLLA_BASE_DISTRO} != rocky ]]; then
    for program in iptables ip6tables; do
        sudo update-alternatives --set "${program}" "/usr/sbin/${program}-legacy"
    done
fi

if [[ ${KOLLA_NEUTRON_WRAPPERS-} == true ]]; then
    sudo -E /usr/local/lib/neutron-wrappers/copy-wrappers
fi

. kolla_neutron_extend_start
