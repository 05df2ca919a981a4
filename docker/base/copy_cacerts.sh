#!/bin/bash

# Makes the system trust the CA certificates that the operator gives the
# container. What an earlier start added goes first: it may be given no more.

set -o errexit
set -o nounset
shopt -s nullglob

if [[ -e /etc/debian_version ]]; then
    trusted=/usr/local/share/ca-certificates
    update="update-ca-certificates"
elif [[ -e /etc/redhat-release ]]; then
    trusted=/etc/pki/ca-trust/source/anchors
    update="update-ca-trust"
else
    echo "No place for CA certificates is known on this distribution" >&2
    exit 1
fi

given=(/var/lib/kolla/config_files/ca-certificates/*)
# Only what kolla_set_configs copied there, as its record of this start tells.
copied=/var/lib/kolla/share/ca-certificates
if grep -qsF "\"source\": \"${copied}\"" /etc/kolla/defaults/state; then
    given+=("${copied}"/*)
fi

# Debian's update leaves its own links to certificates that are gone.
old=("${trusted}"/kolla-customca-* /etc/ssl/certs/kolla-customca-*)

if [[ ${#old[@]} -eq 0 && ${#given[@]} -eq 0 ]]; then
    exit 0
fi

rm -f "${old[@]}"
for certificate in "${given[@]}"; do
    if [[ -f ${certificate} ]]; then
        cp "${certificate}" "${trusted}/kolla-customca-${certificate##*/}"
    fi
done
"${update}"
