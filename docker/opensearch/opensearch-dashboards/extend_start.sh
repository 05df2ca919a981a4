#!/bin/bash
# Sourced by kolla_start, as opensearch-dashboards.

install -d -m 755 /var/log/kolla/opensearch-dashboards

# With the plugin there is no talking to an OpenSearch without it.
if [[ ${OPENSEARCH_DASHBOARDS_SECURITY_PLUGIN-} == False ]]; then
    plugins=/usr/share/opensearch-dashboards/bin/opensearch-dashboards-plugin
    if [[ $("${plugins}" list) == *securityDashboards* ]]; then
        "${plugins}" remove securityDashboards
    fi
fi
