"""What the machine's notebooks are offered: a file to run that loads the extension.

The extension travels in the bundle, beside what the agent itself is made of. The file appends the
bundle to the end of `sys.path`, so that a towline installed there goes first. It lies where every
version finds it, beside the bundles: the line to paste stays the same.
"""

from __future__ import annotations

import os

NAME = "notebook.py"

_SOURCE = '''\
"""Loads towline into a notebook: `%run {shown}`. The agent writes it anew at each start."""


def load():
    import sys

    from IPython import get_ipython

    bundle = {bundle!r}
    if bundle not in sys.path:
        sys.path.append(bundle)
    get_ipython().run_line_magic("load_ext", "towline")


load()
del load
'''


def offer(bundle: str | None = None) -> str:
    """Write the file and return the line that runs it; the empty text where there is no bundle."""
    bundle = bundle or own_bundle()
    if not os.path.isfile(bundle):
        return ""
    path = os.path.join(os.path.dirname(bundle), NAME)
    shown = _from_home(path)
    beside = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(_SOURCE.format(bundle=bundle, shown=shown))
        os.replace(beside, path)
    except OSError:
        return ""
    return f'%run "{shown}"' if " " in shown else f"%run {shown}"


def own_bundle() -> str:
    """Return the zip that this module was loaded from; a folder where it was not."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _from_home(path: str) -> str:
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path
