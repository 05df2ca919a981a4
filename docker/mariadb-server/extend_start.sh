#!/bin/bash
# Sourced by kolla_start, as mysql. A step is asked for by a variable that is
# set, even to nothing; the container then does that step and exits.

log_dir=${MARIADB_LOG_DIR:-/var/log/kolla/mariadb}
install -d -m 755 "${log_dir}"

sql_string() {
    local escaped=${1//\\/\\\\}
    printf "'%s'" "${escaped//\'/\\\'}"
}

# Runs once on an empty data directory, in the server's bootstrap mode: no
# socket, no port, no moment at which root has no password.
bootstrap_database() {
    local password
    password=$(sql_string "${DB_ROOT_PASSWORD}")
    mariadb-install-db --auth-root-authentication-method=normal --skip-test-db
    mariadbd --bootstrap --wsrep-on=OFF <<SQL
FLUSH PRIVILEGES;
ALTER USER 'root'@'localhost' IDENTIFIED BY ${password};
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY ${password};
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host NOT IN ('localhost', '%'));
SQL
}

if [[ -v KOLLA_BOOTSTRAP ]]; then
    set +o xtrace
    bootstrap_database 2>&1 | tee -a "${log_dir}/mariadb-bootstrap.log"
    exit 0
fi

if [[ -v KOLLA_UPGRADE ]]; then
    set +o xtrace
    # Every directory counts as a database, and this one is not: it fails the upgrade.
    rm -rf /var/lib/mysql/.pki
    MYSQL_PWD=${DB_ROOT_PASSWORD} mariadb-upgrade --host="${DB_HOST}" --port="${DB_PORT}" --user=root 2>&1 \
        | tee -a "${log_dir}/mariadb-upgrade.log"
    exit 0
fi

if [[ -v BOOTSTRAP_ARGS ]]; then
    ARGS=${BOOTSTRAP_ARGS}
fi
