#!/bin/bash
# Creates the first user, project, role, region and endpoints:
#
#   kolla_keystone_bootstrap USER PASSWORD PROJECT ROLE [ADMIN_URL] INTERNAL_URL PUBLIC_URL REGION
#
# An empty PASSWORD is read from OS_BOOTSTRAP_PASSWORD; ADMIN_URL is ignored.
# The last line printed is the JSON an Ansible task expects of a module.

set -o nounset

report() {
    FAILED=$1 CHANGED=$2 MESSAGE=${3-} python3 -c '
import json, os
report = {name: os.environ[name.upper()] == "true" for name in ("failed", "changed")}
if os.environ["MESSAGE"]:
    report["msg"] = os.environ["MESSAGE"]
print(json.dumps(report))'
}

if [[ $# -eq 8 ]]; then
    set -- "${@:1:4}" "${@:6}"
elif [[ $# -ne 7 ]]; then
    report true false "kolla_keystone_bootstrap takes 7 or 8 arguments, not $#"
    exit 1
fi

# The environment rather than options: a password does not belong in a process list.
export OS_BOOTSTRAP_USERNAME=$1
export OS_BOOTSTRAP_PASSWORD=${2:-${OS_BOOTSTRAP_PASSWORD-}}
export OS_BOOTSTRAP_PROJECT_NAME=$3
export OS_BOOTSTRAP_ROLE_NAME=$4
export OS_BOOTSTRAP_INTERNAL_URL=$5
export OS_BOOTSTRAP_PUBLIC_URL=$6
export OS_BOOTSTRAP_REGION_ID=$7
export OS_BOOTSTRAP_SERVICE_NAME=keystone

if ! log=$(keystone-manage bootstrap 2>&1); then
    report true true "${log}"
    exit 1
fi

# Unchanged only when the log says so; a keystone that logs elsewhere leaves it
# unknown. The role on the system is granted again every time: no sign of a change.
changed=true
if grep -q 'skipping creation' <<<"${log}" \
    && ! grep -qE 'Created |Granted role .* on project|Reset password|Enabled user' <<<"${log}"; then
    changed=false
fi
report false "${changed}"
