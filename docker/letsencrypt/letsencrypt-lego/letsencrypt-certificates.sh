#!/bin/bash
# Has a certificate for the load balancer that is for all of its names and not about to expire, obtaining or renewing
# it on the one host that has a virtual address:
#
#   letsencrypt-certificates --internal | --external --fqdns NAME,... --vips ADDRESS,... --haproxies-ssh HOST:PORT,...
#       --acme URL --mail ADDRESS --days DAYS [--key-type TYPE] [--eab --kid ID --hmac KEY]
#       [--challenge http-01 --port PORT | --challenge dns-01 --dns-provider NAME
#           [--dns-additional-opts "OPTION..."] [--env-file FILE]]

set -o errexit -o nounset -o pipefail

log() { echo "$(date '+%Y/%m/%d %H:%M:%S') [$1] [${fqdns%%,*} - cron] $2"; }

fail() {
    log ERROR "$1"
    exit 1
}

sides=() fqdns='' vips='' haproxies='' acme='' mail='' days='' key_type='' eab='' kid='' hmac=''
challenge=http-01 dns_provider='' dns_options='' env_file=''

options=internal,external,fqdns:,port:,days:,mail:,acme:,vips:,haproxies-ssh:,eab,kid:,hmac:,key-type:
options+=,challenge:,dns-provider:,dns-additional-opts:,env-file:
parsed=$(getopt -n letsencrypt-certificates -o ief:p:d:m:a:v:h:k: --long "${options}" -- "$@")
eval set -- "${parsed}"
while [[ $1 != -- ]]; do
    case $1 in
    -i | --internal) sides+=(internal) ;;
    -e | --external) sides+=(external) ;;
    --eab) eab=yes ;;
    *)
        case $1 in
        -f | --fqdns) fqdns=$2 ;;
        # The web server's: lego leaves files for it.
        -p | --port) ;;
        -d | --days) days=$2 ;;
        -m | --mail) mail=$2 ;;
        -a | --acme) acme=$2 ;;
        -v | --vips) vips=$2 ;;
        -h | --haproxies-ssh) haproxies=$2 ;;
        -k | --key-type) key_type=$2 ;;
        --kid) kid=$2 ;;
        --hmac) hmac=$2 ;;
        --challenge) challenge=$2 ;;
        --dns-provider) dns_provider=$2 ;;
        --dns-additional-opts) dns_options=$2 ;;
        --env-file) env_file=$2 ;;
        esac
        shift
        ;;
    esac
    shift
done

[[ ${#sides[@]} == 1 ]] || fail "one of --internal and --external has to be given"
[[ -n ${fqdns} ]] || fail "--fqdns has to be given"
side=${sides[0]}
IFS=, read -r -a names <<<"${fqdns}"
directory=/etc/letsencrypt/lego/${side}
certificate=${names[0]/\*/_}
pem=${directory}/certificates/${certificate}.pem

has_address() {
    local vip list
    IFS=, read -r -a list <<<"${vips}"
    for vip in "${list[@]}"; do
        if [[ -n $(ip -oneline address show to "${vip}") ]]; then
            return 0
        fi
    done
    return 1
}

# KEY=VALUE lines, with values as they are: lego's providers have their credentials in variables.
read_env_file() {
    local line
    [[ -r ${env_file} ]] || fail "${env_file} can't be read"
    while IFS= read -r line || [[ -n ${line} ]]; do
        if [[ ${line} == [^#]*=* ]]; then
            export "${line?}"
        fi
    done <"${env_file}"
}

challenge_options() {
    case ${challenge} in
    http-01) lego+=(--http --http.webroot /etc/letsencrypt/http-01) ;;
    dns-01)
        [[ -n ${dns_provider} ]] || fail "dns-01 needs --dns-provider"
        # shellcheck disable=SC2206 # options, separated by spaces
        lego+=(--dns "${dns_provider}" ${dns_options})
        if [[ -n ${env_file} ]]; then
            read_env_file
        fi
        ;;
    *) fail "there is no challenge ${challenge}" ;;
    esac
}

account_options() {
    if [[ -n ${eab} ]]; then
        [[ -n ${kid} && -n ${hmac} ]] || fail "--eab needs --kid and --hmac"
        lego+=(--eab --kid "${kid}" --hmac "${hmac}")
    fi
    if [[ -n ${key_type} ]]; then
        lego+=(--key-type "${key_type}")
    fi
}

# Certificates of another first name, or of fewer names, are of no use.
forget_old_certificates() {
    local name held
    if [[ -d ${directory}/certificates ]]; then
        find "${directory}/certificates" -type f ! -name "${certificate}.*" -delete
    fi
    if [[ -e ${pem} ]]; then
        held=,$(openssl x509 -noout -ext subjectAltName -in "${pem}" | tail -n +2 | tr -d ' '),
        for name in "${names[@]}"; do
            if [[ ${held} != *",DNS:${name},"* ]]; then
                log INFO "${name} is added to the certificate"
                rm -f "${directory}"/certificates/*
                return
            fi
        done
    fi
}

obtain_or_renew() {
    local hook="/usr/bin/sync-and-update-certificate --${side} --fqdn ${names[0]} --haproxies-ssh ${haproxies}"
    lego=(/opt/lego --accept-tos --pem --email "${mail}" --server "${acme}" --path "${directory}" "${names[@]/#/--domains=}")
    challenge_options
    account_options
    forget_old_certificates
    if [[ -e ${pem} ]]; then
        "${lego[@]}" renew --days "${days:-30}" --renew-hook "${hook}"
    else
        "${lego[@]}" run --run-hook "${hook}"
    fi
}

# The other hosts read it as haproxy.
trap 'chown -R haproxy:haproxy /etc/letsencrypt/lego' EXIT

if has_address; then
    log INFO "this host is active, looking after ${fqdns} by ${challenge}"
    obtain_or_renew 2>&1
else
    log INFO "this host is passive, there is nothing to do"
fi
