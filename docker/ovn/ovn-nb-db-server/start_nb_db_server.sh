#!/bin/bash
# Serves the northbound database in the foreground, made or converted first where
# that is needed. Arguments are those of ovn-ctl.
exec /usr/share/ovn/scripts/ovn-ctl --no-monitor "$@" run_nb_ovsdb
