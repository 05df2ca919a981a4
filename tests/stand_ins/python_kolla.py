"""Runs Python Kolla's kolla-build on the tree in DIR/docker: python_kolla.py DIR [ARGUMENT...].

kolla-build has no option for another tree than its own. Run by the Python that Kolla is installed for.
"""

import sys

from kolla.cmd import build
from kolla.image import kolla_worker

kolla_worker.KOLLA_PACKAGE_DIR = sys.argv[1]
sys.argv = ["kolla-build", *sys.argv[2:]]
sys.exit(build.main())
