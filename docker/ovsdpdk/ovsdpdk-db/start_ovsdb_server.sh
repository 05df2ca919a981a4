#!/bin/bash
# Runs the database server, with a bridge and its port to the outside in the database if they are named:
#
#   start-ovsdb-server ADDRESS [BRIDGE PORT]

address=$1
bridge=${2-}
port=${3-}

database=/var/lib/openvswitch/conf.db
socket=/run/openvswitch/db.sock
server=(/usr/sbin/ovsdb-server "${database}" "--remote=punix:${socket}")

# One that lives as long as the command.
change() { "${server[@]}" --run="ovs-vsctl --no-wait --db=unix:${socket} $*"; }

if [[ -n ${bridge} && -n ${port} ]]; then
    change --may-exist add-br "${bridge}"
    change --may-exist add-port "${bridge}" "${port}"
fi

exec "${server[@]}" "--remote=ptcp:6640:${address}" \
    -vconsole:emer -vsyslog:err -vfile:info --log-file=/var/log/kolla/openvswitch/ovsdb-server.log
