#!/bin/bash
# Generates the configuration files of one volume, NAME, in a container that does nothing else: applies a manifest with
# Puppet, and copies what has come of it to /var/lib/config-data, which is a directory of the host.
set -euo pipefail
if [[ $DEBUG == true ]]; then
    set -x
fi
export PATH=$PATH:/opt/puppetlabs/bin LC_ALL=C

config_data=/var/lib/config-data
# shellcheck disable=SC2153 # it is a variable of the container
mirror=$config_data/$NAME
generated=$config_data/puppet-generated/$NAME
# What a run has copied to $generated: what only an earlier one has is removed.
inventory=$generated.files

# Services change these to what they accept: what is there stays, and only the digest tells of a new one.
password_files=(/root/.my.cnf)

# Puppet's own, the engine's, and what service containers mount from the host.
left_out=(
    /etc/puppet /etc/puppetlabs /opt/puppetlabs
    /etc/hosts /etc/hostname /etc/resolv.conf /etc/localtime
    /etc/pki/ca-trust/extracted /etc/pki/ca-trust/source/anchors
    /etc/pki/tls/certs/ca-bundle.crt /etc/pki/tls/certs/ca-bundle.trust.crt /etc/pki/tls/cert.pem
    /etc/openldap
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

require() {
    local program
    for program; do
        command -v "$program" >/dev/null || {
            echo "this image has no $program: build it with overrides/puppet-tools.j2" >&2
            exit 127
        }
    done
}

# The host's configuration of Puppet, and the step that hiera is told.
configure_puppet() {
    mkdir -p /etc/puppet
    cp -dR /tmp/puppet-etc/. /etc/puppet/
    rm -rf /etc/puppet/ssl
    mkdir -p /etc/puppet/hieradata
    printf '{"step": %s}\n' "$STEP" >/etc/puppet/hieradata/docker_puppet.json
    if [[ -d /tmp/puppet-check-mode ]]; then
        mkdir -p /etc/puppet/check-mode
        cp -a /tmp/puppet-check-mode/. /etc/puppet/check-mode/
    fi
}

to_log() {
    if [[ -S /dev/log ]] && command -v logger >/dev/null; then
        logger --stderr --tag puppet-user 2>&1
    else
        cat
    fi
}

# Ends the container unless Puppet succeeds, with changes (2) or without (0).
apply_manifest() {
    local code arguments=(
        --detailed-exitcodes --color=false --tags "$PUPPET_TAGS"
        --modulepath=/etc/puppet/modules:/usr/share/openstack-puppet/modules:/usr/share/puppet/modules
    )
    if [[ $DEBUG == true ]]; then
        arguments+=(--summarize)
    fi
    if [[ -d /etc/puppet/check-mode ]]; then
        arguments+=(--hiera_config /etc/puppet/check-mode/hiera.yaml)
    elif [[ -f /etc/puppet/hiera.yaml ]]; then
        arguments+=(--hiera_config /etc/puppet/hiera.yaml)
    fi
    if [[ $NET_HOST != true ]]; then
        export FACTER_hostname=$HOSTNAME
    fi
    if [[ -r /sys/class/dmi/id/product_uuid ]]; then
        FACTER_uuid=$(tr '[:upper:]' '[:lower:]' </sys/class/dmi/id/product_uuid)
        export FACTER_uuid
    fi
    set +e
    puppet apply "${arguments[@]}" /etc/config.pp 2>&1 | to_log
    code=${PIPESTATUS[0]}
    set -e
    if ((code != 0 && code != 2)); then
        exit "$code"
    fi
}

# Adds every place that is mounted and can't be written: it belongs to the host.
leave_out_mounts() {
    local target options
    while read -r _ _ _ _ target options _; do
        if [[ ,$options, == *,ro,* && $target != / ]]; then
            # The kernel writes a blank as \040.
            left_out+=("$(printf '%b' "${target//\\/\\0}")")
        fi
    done </proc/self/mountinfo
}

# digest DIRECTORY: an md5sum that changes when something in it does, but for times and for what Puppet writes of them.
digest() {
    local name arguments=(
        -path ./etc/swift/backups -o -path './etc/swift/*.ring.gz' -o -path './etc/swift/*.builder'
        -o -path ./etc/libvirt/passwd.db
    )
    for name in "${passwords[@]}"; do
        arguments+=(-o -path ".$name")
    done
    (
        cd "$1"
        find . \( "${arguments[@]}" \) -prune -o -print0 | sort -z >"$work/digested"
        {
            xargs -0 -r stat --printf '%A %u %g %N\n' <"$work/digested"
            tar --create --null --no-recursion --files-from="$work/digested" | tar --extract --to-stdout
            [[ ${#passwords[@]} -eq 0 ]] || cat "${passwords[@]}"
        } | sed -e '/^#.*HEADER/d' -e 's/#.HEADER.*//' | md5sum | cut -d ' ' -f 1 >"$1.md5sum.new"
    )
    mv "$1.md5sum.new" "$1.md5sum"
}

# Copies what the container has now to the host.
collect() {
    local directory name directories=() prunes=() excludes=() kept=()
    for directory in /etc /root /opt /var/www /var/spool/cron /var/lib/nova/.ssh; do
        [[ ! -d $directory ]] || directories+=("$directory")
    done
    passwords=()
    for name in "${password_files[@]}"; do
        [[ -f $name ]] || continue
        passwords+=("$name")
        [[ ! -f $mirror$name ]] || kept+=("$name")
    done
    leave_out_mounts
    for name in "${left_out[@]}"; do
        prunes+=(-path "$name" -o)
    done
    for name in "${left_out[@]}" "${kept[@]}"; do
        excludes+=("--exclude=$name")
    done
    mkdir -p "$mirror" "$generated"
    rsync --archive --relative --delay-updates --delete-after "${excludes[@]}" "${directories[@]}" "$mirror/"

    find "${directories[@]}" \( "${prunes[@]}" -false \) -prune -o -newer "$stamp" -print0 | sort -z >"$work/new"
    # Until this run has done its work, what it may have copied counts as copied.
    [[ -f $inventory ]] || : >"$inventory"
    sort -z -u "$inventory" "$work/new" >"$inventory.new"
    mv "$inventory.new" "$inventory"
    rsync --archive --relative --from0 --files-from="$work/new" --delay-updates "${excludes[@]}" / "$generated/"
    # What is in a directory comes before it.
    comm -z -23 "$inventory" "$work/new" | sort -z -r >"$work/obsolete"
    while IFS= read -r -d '' name; do
        if [[ -d $generated$name && ! -L $generated$name ]]; then
            rmdir --ignore-fail-on-non-empty "$generated$name"
        elif [[ -e $generated$name || -L $generated$name ]]; then
            echo "no longer generated: $name"
            rm -f "$generated$name"
        fi
    done <"$work/obsolete"
    cp "$work/new" "$inventory.new"
    mv "$inventory.new" "$inventory"

    digest "$mirror"
    digest "$generated"
}

require puppet
[[ -n $NO_ARCHIVE ]] || require rsync tar
configure_puppet
stamp=$work/stamp
touch "$stamp"
# Puppet's files are to be newer, whatever the clock's grain.
sleep 0.05
apply_manifest
[[ -n $NO_ARCHIVE ]] || collect
