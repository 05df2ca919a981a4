"""Virtual environments of the programs that ours is compared with."""

import shutil
import subprocess
import sys


def install(venv, requirements):
    """An environment that has these requirements; one that has them already is left as it is."""
    ready = venv / "ready"
    wanted = f"{sys.version} {requirements}"
    if ready.exists() and ready.read_text() == wanted:
        return
    print(f"installing {' '.join(requirements)}", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", *requirements], check=True)
    ready.write_text(wanted)
