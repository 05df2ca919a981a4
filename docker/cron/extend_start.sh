#!/bin/bash
# Sourced by kolla_start, as root. KOLLA_LOGROTATE_SCHEDULE says in which of
# cron's directories logrotate belongs; a restart finds it where the last start left it.

case ${KOLLA_LOGROTATE_SCHEDULE-} in
hourly | daily | weekly | monthly)
    scheduled=/etc/cron.${KOLLA_LOGROTATE_SCHEDULE}/logrotate
    for job in /etc/cron.{hourly,daily,weekly,monthly}/logrotate; do
        if [[ -e ${job} && ${job} != "${scheduled}" ]]; then
            mv "${job}" "${scheduled}"
        fi
    done
    ;;
esac
