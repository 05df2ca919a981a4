#!/bin/bash

# Installs the source trees that kolla-ansible's development mode mounts.

set -o errexit
set -o nounset
shopt -s nullglob

venv=/var/lib/kolla/venv
if [[ ! -d ${venv} ]]; then
    exit 0
fi

PATH=${venv}/bin:${PATH}
for project in /dev-mode/*; do
    pip install --upgrade "${project}"
done
