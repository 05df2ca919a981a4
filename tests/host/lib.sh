# What the scripts in this directory share: messages, and installing Debian packages.
# shellcheck shell=bash

set -euo pipefail

# The registry of with-registry that takes anything, without TLS: Podman must be told so when it starts.
plain_registry=127.0.0.1:25001

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$@"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command whose output matters only when it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [ "$status" -eq 0 ] || { say "failed: $*"; tail -n 30 "$log" >&2; }
    rm -f "$log"
    return "$status"
}

# The version apt would install of a package; nothing when it knows of none.
candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([^(].*\)/\1/p'; }

package_lists_fresh=false

refresh_package_lists() {
    if $package_lists_fresh; then return; fi
    have apt-get || die "no apt-get here: install $* with this system's package manager, then run this again"
    [ "$(id -u)" -eq 0 ] || die "$* must be installed: as root, run  apt-get install $*"
    quietly apt-get update
    package_lists_fresh=true
}

apt_install() {
    refresh_package_lists "$@"
    say "installing $*"
    DEBIAN_FRONTEND=noninteractive quietly \
        apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}

# The address of the mirror that this host uses for packages with this label; nothing when it has none.
mirror() {
    # shellcheck disable=SC2016 # apt-get expands these names itself
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' 2>/dev/null \
        | sed -n "s/^Debian|$1|//p" | head -n 1
}

# Lines of a sources.list for a suite; without any, mmdebstrap takes its own defaults.
debian_sources() {
    local suite=$1 debian security
    debian=$(mirror Debian)
    security=$(mirror Debian-Security)
    [ -z "$debian" ] || printf 'deb %s %s main\n' "$debian" "$suite" "$debian" "$suite-updates"
    [ -z "$security" ] || printf 'deb %s %s main\n' "$security" "$suite-security"
}

# mmdebstrap_from_mirror SUITE TARGET OPTION...: makes a root, or unpacks packages, of a suite from the mirror that this host uses.
mmdebstrap_from_mirror() {
    local suite=$1 target=$2 sources status=0
    shift 2
    # arch-test: it asks that before it makes a root for another architecture.
    if ! have mmdebstrap || ! have arch-test; then apt_install mmdebstrap arch-test debian-archive-keyring; fi
    sources=$(mktemp)
    debian_sources "$suite" >"$sources"
    local arguments=("$suite" "$target")
    [ ! -s "$sources" ] || arguments+=("$sources")
    quietly mmdebstrap "$@" "${arguments[@]}" || status=$?
    rm -f "$sources"
    return "$status"
}

# What Podman's service needs where it may not raise limits to those of a bare machine; Podman 4 has this many processes at
# most itself. With the host's network it needs no firewall.
podman_configuration() {
    local files processes
    files=$(ulimit -H -n | sed s/unlimited/-1/) processes=$(ulimit -H -u)
    [ "$processes" != unlimited ] && [ "$processes" -lt 32768 ] || processes=32768
    printf '[containers]\nnetns = "host"\ndefault_ulimits = ["nofile=%s:%s", "nproc=%s:%s"]\n' \
        "$files" "$files" "$processes" "$processes"
}

# What Podman has to know of the registry without TLS, in the words of registries.conf.
plain_registry_for_podman() { printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$plain_registry"; }
