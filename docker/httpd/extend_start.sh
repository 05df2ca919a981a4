#!/bin/bash
# Sourced by kolla_start, as root.
. /usr/local/bin/kolla_httpd_setup
