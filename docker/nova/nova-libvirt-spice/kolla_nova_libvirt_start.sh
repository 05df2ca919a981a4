#!/bin/bash
# libvirtd with virtlogd beside it, which keeps the consoles' logs from growing for ever.

set -o errexit
set -o nounset

/usr/sbin/virtlogd &
exec /usr/sbin/libvirtd --listen
