#!/bin/bash
# Sourced by kolla_start, as root. KOLLA_BOOTSTRAP, set even to nothing, asks for
# the tables of sessions in a database; the container then exits.

site_packages=/var/lib/kolla/venv/lib/python3/site-packages
horizon_local=${site_packages}/openstack_dashboard/local
horizon_settings=/etc/openstack-dashboard
horizon_log=/var/log/kolla/horizon
fingerprint_file=/var/lib/kolla/.settings.md5sum.txt

# Dashboards that ENABLE_... switches on with "yes", and the packages they are in.
dashboards=(
    BLAZAR:blazar_dashboard
    CLOUDKITTY:cloudkittydashboard
    DESIGNATE:designatedashboard
    FWAAS:neutron_fwaas_dashboard
    HEAT:heat_dashboard
    IRONIC:ironic_ui
    MAGNUM:magnum_ui
    MANILA:manila_ui
    MASAKARI:masakaridashboard
    MISTRAL:mistraldashboard
    NEUTRON_VPNAAS:neutron_vpnaas_dashboard
    OCTAVIA:octavia_dashboard
    TACKER:tacker_horizon
    TROVE:trove_dashboard
    WATCHER:watcher_dashboard
)

manage() {
    python3 /var/lib/kolla/venv/bin/manage.py "$@"
}

# switch yes|no DIRECTORY FILE...: copies of the files there, or none. A file
# that is there already is the deployment's own, and stays.
switch() {
    local wanted=$1 directory=$2 file copy
    for file in "${@:3}"; do
        copy=${directory}/${file##*/}
        if [[ ${wanted} != yes ]]; then
            rm -f "${copy}"
        elif [[ -f ${file} && ! -f ${copy} ]]; then
            cp -a "${file}" "${copy}"
        fi
    done
}

switch_dashboard() {
    local wanted=$1 package=${site_packages}/$2 policies
    switch "${wanted}" "${horizon_local}/enabled" "${package}"/{,local/}enabled/_[0-9]*.py
    switch "${wanted}" "${horizon_settings}/default_policies" "${package}"/conf/default_policies/*.yaml
    policies=("${package}"/conf/*_policy.*)
    switch "${wanted}" "${horizon_settings}" "${policies[@]}"
    # They name the policies: without those there is nothing to name.
    if [[ -f ${policies[0]} ]]; then
        switch "${wanted}" "${horizon_local}/local_settings.d" "${package}"/{,local/}local_settings.d/_[0-9]*.py
    fi
}

# Changes when anything does that styles and scripts are made from.
fingerprint() {
    find -L "${horizon_settings}" "${horizon_local}" -name __pycache__ -prune -o -type f -print0 \
        | LC_ALL=C sort -z | xargs -0 md5sum
}

if [[ -f ${horizon_settings}/custom_local_settings ]]; then
    ln -sf "${horizon_settings}/custom_local_settings" "${horizon_local}/custom_local_settings.py"
fi

if [[ -v KOLLA_BOOTSTRAP ]]; then
    manage migrate --noinput
    exit 0
fi

for dashboard in "${dashboards[@]}"; do
    variable=ENABLE_${dashboard%%:*}
    switch_dashboard "${!variable:-no}" "${dashboard##*:}"
done

if [[ ${FORCE_GENERATE:-no} == yes ]] || ! cmp -s "${fingerprint_file}" <(fingerprint); then
    manage collectstatic --noinput --clear
    manage compress --force
    fingerprint >"${fingerprint_file}"
fi

install -d -o horizon -g kolla -m 755 "${horizon_log}"
chown -R horizon:kolla "${horizon_log}"

if [[ -f ${horizon_local}/.secret_key_store ]]; then
    chown horizon "${horizon_local}/.secret_key_store"
fi
