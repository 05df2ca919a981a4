#!/bin/bash
# Takes a new certificate to all hosts of the load balancer, with lego's data, and has HAProxy use it. lego's hook:
#
#   sync-and-update-certificate --internal | --external --fqdn NAME --haproxies-ssh HOST:PORT,...

set -o errexit -o nounset -o pipefail

log() { echo "$(date '+%Y/%m/%d %H:%M:%S') [$1] [${fqdn} - hook] $2"; }

sides=() fqdn='' haproxies=''
parsed=$(getopt -n sync-and-update-certificate -o ief:l: --long internal,external,fqdn:,haproxies-ssh: -- "$@")
eval set -- "${parsed}"
while [[ $1 != -- ]]; do
    case $1 in
    -i | --internal) sides+=(internal) ;;
    -e | --external) sides+=(external) ;;
    -f | --fqdn) fqdn=$2 && shift ;;
    -l | --haproxies-ssh) haproxies=$2 && shift ;;
    esac
    shift
done

case ${sides[*]} in
internal) uploaded=haproxy-internal.pem ;;
external) uploaded=haproxy.pem ;;
*)
    log ERROR "one of --internal and --external has to be given"
    exit 1
    ;;
esac
lego=/etc/letsencrypt/lego/
pem=${lego}${sides[0]}/certificates/${fqdn/\*/_}.pem
# An empty line would end it where HAProxy reads it.
sed -i '/^$/d' "${pem}"

# Hosts are known by the key in the container alone.
ssh=(ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
    -i /var/lib/letsencrypt/.ssh/id_rsa)

deliver() {
    local host=$1 port=$2 address=${1#[} remote
    address=${address%]}
    remote="${ssh[*]} -p ${port}"
    if [[ -z $(ip -oneline address show to "${address}") ]]; then
        rsync -a --delete -e "${remote}" "${lego}" "haproxy@${host}:${lego}" || return
    fi
    rsync -a -e "${remote}" "${pem}" "haproxy@${host}:/var/lib/haproxy/${uploaded}" || return
    "${ssh[@]}" -p "${port}" "haproxy@${address}" /usr/bin/update-loadbalancer-cert "--${sides[0]}"
}

status=0
IFS=, read -r -a targets <<<"${haproxies}"
for target in "${targets[@]}"; do
    # One host that is away must not keep the others from it.
    if deliver "${target%:*}" "${target##*:}"; then
        log INFO "${target} has the certificate"
    else
        log ERROR "${target} has not got the certificate"
        status=1
    fi
done
exit "${status}"
