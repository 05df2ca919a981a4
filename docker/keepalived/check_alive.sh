#!/bin/bash
# Runs every check in /checks: the node may hold the address while none fails.

status=0
while IFS= read -r -d '' check; do
    if "${check}" 2>/dev/null; then
        echo "Keepalived check script ${check} succeeded."
    else
        echo "Keepalived check script ${check} failed."
        status=1
    fi
done < <(find /checks -type f -print0 2>/dev/null)
exit "${status}"
