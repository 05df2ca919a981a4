#!/bin/bash

# Applies the patches that /patches/series lists to the image being built.
#
# An image's patches come on top of its parent's: series.applied gathers the
# lists, /etc/kolla/patched records what has been done and is never done twice.

set -o errexit
set -o nounset

series=/patches/series
record=/etc/kolla/patched

fail() {
    echo "[e] $*" >&2
    exit 1
}

if [[ ! -e ${series} ]]; then
    echo "[i] No ${series}, nothing to patch."
    exit 0
fi

cd /
mkdir -p "${record%/*}"
touch "${record}"
# The last line may lack its newline.
while read -r name || [[ -n ${name} ]]; do
    if [[ -z ${name} || ${name} == "#"* ]]; then
        continue
    fi
    done_line="[i] Applied /patches/${name}"
    if grep -qxF "${done_line}" "${record}"; then
        echo "[i] /patches/${name} is applied already."
        continue
    fi
    [[ -f /patches/${name} ]] || fail "${series} lists ${name}, but there is no /patches/${name}"
    echo "[i] Applying /patches/${name}"
    # --forward: a patch that looks reversed is a failure, not a question.
    patch -p0 --fuzz=0 --ignore-whitespace --forward <"/patches/${name}" \
        || fail "/patches/${name} does not apply, see above; mend or remove it"
    echo "${done_line}" >>"${record}"
    echo "${name}" >>"${series}.applied"
done <"${series}"
rm "${series}"
