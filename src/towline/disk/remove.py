"""Removing a directory that sync has emptied, whatever else lies in it.

Bytecode goes with it, other ignored things stay, and anything synced stops it: a directory is
never removed with content that nobody decided about.
"""

from __future__ import annotations

import enum
import errno

from towline.core.path import join
from towline.core.steps import run_to_end
from towline.disk.folder import Folder
from towline.disk.look import Look
from towline.disk.scan import Rules, Scan


class Removal(enum.Enum):
    GONE = "gone"
    IGNORED_STAYS = "only ignored things are left in it"
    IN_USE = "something synced is in it"


def remove_directory(look: Look, path: str, rules: Rules) -> Removal:
    """Remove the directory at `path` if nothing synced is in it. Raises OSError."""
    if _rmdir(look.folder, path):
        return Removal.GONE
    _remove_bytecode(look.folder, path, rules)
    if _rmdir(look.folder, path):
        return Removal.GONE
    left = run_to_end(Scan(look).directory_steps(path, rules.at(path)))
    return Removal.IGNORED_STAYS if left is None else Removal.IN_USE


def _rmdir(folder: Folder, path: str) -> bool:
    try:
        folder.rmdir(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _remove_bytecode(folder: Folder, path: str, rules: Rules) -> None:
    """Remove an ignored `__pycache__` that holds nothing but what Python makes again."""
    cache = join(path, "__pycache__")
    if not rules.ignores(cache, is_directory=True):
        return
    try:
        names = [name for name, _ in folder.scan_directory(cache)]
        if all(name.endswith(".pyc") for name in names):
            for name in names:
                folder.unlink(join(cache, name))
            folder.rmdir(cache)
    except OSError:  # Then it stays, as anything ignored does.
        return
