"""towline's own directory inside a root: made on need, private, and invisible to git.

What lies in it (cookies, staged content, the incarnation) belongs to the modules that put it there.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from towline.core.path import OWN_DIRECTORY


def ensure_own_directory(root: Path) -> Path:
    """Make `.towline` (mode 0700) with a `.gitignore` of `*` unless it is there; return it.

    Raises `NotADirectoryError` if something else stands there (a link would lead out of the root),
    `FileNotFoundError` if the root is gone, and any other `OSError` of making a directory.
    """
    own = ensure_private_directory(root / OWN_DIRECTORY)
    with suppress(FileExistsError), open(own / ".gitignore", "x", encoding="utf-8") as file:
        file.write("*\n")
    return own


def ensure_private_directory(path: Path) -> Path:
    """Make the directory with mode 0700 unless it is there; never follow a link to one."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise NotADirectoryError(f"{path} is not a directory")
    return path
