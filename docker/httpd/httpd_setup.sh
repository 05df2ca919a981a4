#!/bin/bash
# Sourced before httpd starts, for it sets variables that httpd reads.

# What a stopped httpd leaves behind keeps the next one from starting.
if [[ $(id -u) -eq 0 ]]; then
    case ${KOLLA_BASE_DISTRO} in
    debian | ubuntu)
        # Read by envvars, under nounset.
        APACHE_CONFDIR=
        . /etc/apache2/envvars
        install -d /var/run/apache2
        rm -rf /var/run/apache2/*
        ;;
    *)
        rm -rf /run/httpd/* /tmp/httpd*
        # Debian's packages have it enabled.
        cat >/etc/httpd/conf.modules.d/99-server-status.conf <<'CONF'
<Location "/server-status">
    SetHandler server-status
    Require local
</Location>
CONF
        # ssl.conf names a certificate that a unit of systemd would make.
        if [[ ! -e /etc/pki/tls/certs/localhost.crt ]]; then
            rm -f /tmp/dhparams.pem
            /usr/libexec/httpd-ssl-gencerts
        fi
        ;;
    esac
fi

# Applications need UTF-8; the system's own setting wins.
LANG=C.UTF-8
for locale in /etc/default/locale /etc/locale.conf; do
    if [[ -f ${locale} ]]; then
        # shellcheck source=/dev/null
        . "${locale}"
    fi
done
