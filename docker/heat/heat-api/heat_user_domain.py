#!/var/lib/kolla/venv/bin/python3
"""Creates the domain that heat keeps the users of stacks in, and its administrator.

The cloud and its administrator are told by OS_ variables, the new password by
HEAT_DOMAIN_ADMIN_PASSWORD. What is there already stays as it is.
"""

import os

import openstack

DOMAIN = "heat_user_domain"
USER = "heat_domain_admin"

# A project's domain is the default one unless told, as for the openstack command.
if not os.environ.keys() & {"OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME"}:
    os.environ["OS_PROJECT_DOMAIN_ID"] = "default"

identity = openstack.connect().identity
domain = identity.find_domain(DOMAIN) or identity.create_domain(name=DOMAIN)
user = identity.find_user(USER, domain_id=domain.id) or identity.create_user(
    name=USER, domain_id=domain.id, password=os.environ["HEAT_DOMAIN_ADMIN_PASSWORD"]
)
role = identity.find_role("admin", ignore_missing=False)
identity.assign_domain_role_to_user(domain, user, role)
