#!/bin/bash
# Backs the server up into /backup as a compressed xbstream: BACKUP_TYPE is
# "full", or "incremental" since the last full one. Names stay as restores expect.

set -o errexit -o nounset -o pipefail

cd /backup

backup() {
    local file=$1 history=$2
    shift 2
    mkdir -p "$(dirname "${file}")"
    mariadb-backup --defaults-file=/etc/mysql/my.cnf --backup --stream=xbstream --history="${history}" "$@" \
        | gzip >"${file}"
}

case "${BACKUP_TYPE-}" in
full)
    stamp=$(date +%d-%m-%Y-%s)
    file=/backup/full-${stamp}/mysqlbackup-${stamp}.qp.xbc.xbs.gz
    backup "${file}" "${stamp}"
    echo "${file}" >last_full_file
    ;;
incremental)
    if ! full=$(cat last_full_file); then
        echo "No full backup to build on: run one with BACKUP_TYPE=full first" >&2
        exit 1
    fi
    stamp=$(date +%H-%M-%S-%d-%m-%Y)
    since=$(basename "$(dirname "${full}")")
    since=${since#full-}
    base=$(mktemp -d)
    trap 'rm -rf "${base}"' EXIT
    gunzip -c "${full}" | mbstream -x -C "${base}"
    backup "/backup/incr-${stamp}-since-${since}/incremental-${stamp}-mysqlbackup-${since}.qp.xbc.xbs.gz" \
        "incr-${stamp}" --incremental-basedir="${base}"
    ;;
*)
    echo "BACKUP_TYPE must be 'full' or 'incremental', not '${BACKUP_TYPE-}'" >&2
    exit 1
    ;;
esac
