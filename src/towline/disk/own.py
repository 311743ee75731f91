"""towline's own directory in a root: made when first needed, hidden from git."""

from __future__ import annotations

import os
from pathlib import Path

from towline.core.path import OWN_DIRECTORY


def ensure_own_directory(root: Path) -> Path:
    """Make `ROOT/.towline` (0700) with a `.gitignore` of `*`; return it. Raises OSError."""
    own = root / OWN_DIRECTORY
    own.mkdir(mode=0o700, exist_ok=True)
    ignore = own / ".gitignore"
    if not ignore.exists():
        descriptor = os.open(ignore, os.O_WRONLY | os.O_CREAT, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write("*\n")
    return own
