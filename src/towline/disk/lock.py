"""One process at a time keeps a folder in step: it alone knows what is staged there, and why."""

from __future__ import annotations

import os
from pathlib import Path

from towline.core.path import OWN_DIRECTORY

LOCK_NAME = "lock"  # In the root's own directory.


class LockedError(Exception):
    """Another process keeps the folder in step. `owner` is its pid as a text, if it is known."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"process {owner} keeps this folder in step")
        self.owner = owner


def lock_root(root: Path) -> int:
    """Lock a root whose own directory exists; return the descriptor that holds the lock.

    Raises `LockedError`, and `OSError` if the file cannot be made. The lock ends with the
    descriptor, however the process ends.
    """
    descriptor = os.open(
        root / OWN_DIRECTORY / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        _lock(descriptor)
    except OSError:
        owner = os.read(descriptor, 64).decode(errors="replace").strip()
        os.close(descriptor)
        raise LockedError(owner if owner.isdigit() else "unknown") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: the control socket's lock guards each workspace there.
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
