"""Being somebody whom modes bind, for a while: tests may run as root."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def without_root(root: Path) -> Generator[None]:
    """Whose folder this is, then."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(root, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, 0)  # And so are programs that are started.
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
