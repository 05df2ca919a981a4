#!/bin/bash
# Sourced by ovsdpdk's part of the start, as root. QEMU puts its sockets there as another user.

chmod 777 /run/openvswitch
