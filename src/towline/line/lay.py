"""The bundle laid where a laptop's first connection would put it, on a machine that has towline.

A laptop with the same towline then finds it there, and is spared some round trips; any other sends
its own. It is not started here.
"""

from __future__ import annotations

import os
import sys

from towline.line.bundle import OWN_PYTHON, load_bundle
from towline.line.loader import store


def lay_bundle() -> str:
    """Return where it lies. Raises OSError if there is no place for it."""
    bundle = load_bundle()
    usual = os.path.expanduser(f"~/.cache/towline/agent-{bundle.digest}")
    try:
        with open(f"{usual}.python") as file:
            if file.read().strip() == sys.executable and os.path.exists(f"{usual}.pyz"):
                return f"{usual}.pyz"
    except OSError:
        pass
    return store(bundle.for_python(OWN_PYTHON), bundle.digest)
