#!/bin/bash
# Asks the local server, with the options of MariaDB's own container check:
#
#   healthcheck.sh [--defaults-file FILE] [--user NAME] [--connect] [--innodb_initialized] [--galera_online] [--galera_ready]
#
# Exit code 0 when everything asked for holds.

set -o errexit -o nounset -o pipefail

client=(mariadb)
ask() { "${client[@]}" --connect-timeout=10 -sN -e "$1"; }
status() { ask "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '$1'"; }

checks=()
while [[ $# -gt 0 ]]; do
    case $1 in
    --defaults-file=*) client=(mariadb "$1" "${client[@]:1}") ;;
    --defaults-file) client=(mariadb "--defaults-file=$2" "${client[@]:1}"); shift ;;
    --user=*) client+=("$1") ;;
    --user) client+=("--user=$2"); shift ;;
    --connect | --innodb_initialized | --galera_online | --galera_ready) checks+=("$1") ;;
    *) echo "healthcheck.sh: unknown option $1" >&2; exit 1 ;;
    esac
    shift
done

for check in "${checks[@]}"; do
    case ${check} in
    --connect) [[ $(ask 'SELECT 1') == 1 ]] ;;
    --innodb_initialized) [[ $(ask "SELECT 1 FROM information_schema.ENGINES WHERE ENGINE = 'InnoDB' AND SUPPORT IN ('YES', 'DEFAULT')") == 1 ]] ;;
    # 4 is "Synced"
    --galera_online) [[ $(status wsrep_local_state) == 4 ]] ;;
    --galera_ready) [[ $(status wsrep_ready) == ON ]] ;;
    esac || { echo "healthcheck.sh: ${check#--} does not hold" >&2; exit 1; }
done
