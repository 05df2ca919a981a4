#!/bin/bash
# Runs a daemon of Open vSwitch, and asks it to exit when the container is to stop:
#
#   ovs_wrapper DAEMON ARGUMENT...
#
# Ended by a signal it would not put its work in order. Exits as the daemon does.

program=${1##*/}
"$@" &
daemon=$!

stop() {
    ovs-appctl --timeout=1 --target="/run/openvswitch/${program}.${daemon}.ctl" exit
}
trap stop TERM QUIT

wait "${daemon}"
status=$?
# A signal ends the wait, not the daemon.
while kill -0 "${daemon}" 2>/dev/null; do
    wait "${daemon}"
    status=$?
done
exit "${status}"
