#!/bin/bash
# Serves the southbound database in the foreground, made or converted first where
# that is needed. Arguments are those of ovn-ctl.
exec /usr/share/ovn/scripts/ovn-ctl --no-monitor "$@" run_sb_ovsdb
