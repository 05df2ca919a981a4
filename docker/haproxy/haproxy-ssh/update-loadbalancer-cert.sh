#!/bin/bash
# Puts a certificate that was uploaded to /var/lib/haproxy into the running HAProxy,
# and on disk for its next start:
#
#   update-loadbalancer-cert --internal | --external

set -o errexit -o nounset -o pipefail

case ${1-} in
-i | --internal) name=haproxy-internal.pem ;;
-e | --external) name=haproxy.pem ;;
*)
    echo "usage: update-loadbalancer-cert --internal | --external" >&2
    exit 1
    ;;
esac

uploaded=/var/lib/haproxy/${name}
served=/etc/haproxy/certificates/${name}
backups=/etc/letsencrypt/backups
socket=/var/lib/kolla/haproxy/haproxy.sock

log() {
    echo "$(date '+%Y/%m/%d %H:%M:%S') [$1] [${served} - update] $2"
}

fail() {
    log ERROR "$1: is ${socket} there, with level admin, and ${uploaded} sound?"
    exit 1
}

haproxy_says() { socat - "unix-connect:${socket}"; }

sha1() {
    openssl x509 -noout -fingerprint -sha1 -in "${uploaded}" | sed -e 's/.*=//' -e 's/://g'
}

# An empty line ends the payload, so there must be none in it.
transaction() {
    printf 'set ssl cert %s <<\n' "${served}"
    sed '/^[[:space:]]*$/d' "${uploaded}"
    echo
}

answer=$(transaction | haproxy_says)
[[ ${answer} == *"Transaction "@(created|updated)" for certificate ${served}!"* ]] \
    || fail "HAProxy refuses ${uploaded}"
# With the asterisk, it is the certificate of the open transaction.
pending=$(echo "show ssl cert *${served}" | haproxy_says)
[[ ${pending} == *"SHA1 FingerPrint: $(sha1)"* ]] \
    || fail "HAProxy holds another certificate than ${uploaded}"
answer=$(echo "commit ssl cert ${served}" | haproxy_says)
[[ ${answer} == *Success!* ]] || fail "HAProxy does not take ${uploaded} over"
log INFO "${uploaded} is in use"

backup=${backups}/${name%.pem}-$(date +%Y-%m-%d-%H-%M-%S).pem
mkdir -p "${backups}"
cp -a "${served}" "${backup}"
# Into the file that is there: its owner and mode stay.
cp "${uploaded}" "${served}"
rm -f "${uploaded}"
log INFO "${uploaded} is on disk, what was there before is ${backup}"
