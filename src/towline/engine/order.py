"""In which order a new tree goes over: what runs first, what is large last.

On a new machine the code is there, and can run, while data still streams. It only orders changes
that do not depend on each other; whoever sends them decides what fits a message.
"""

from __future__ import annotations

from collections.abc import Sequence

from towline.core.change import Change
from towline.core.path import parent_of

CODE = (".py", ".pyi", ".ipynb", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".sh")
ORDERED_SIZE = 32 << 20  # Bytes. Less is there within some seconds in any order.
LATE_SIZE = 1 << 20  # Bytes. What people write by hand is smaller.


def code_first(changes: Sequence[Change]) -> list[Change]:
    """Return changes with code first and large contents last, if they are many and only add.

    Directories stay before what is in them, and beside it: a directory that comes with its content
    is made at once.
    """
    size = sum(change.content_size for change in changes)
    if size < ORDERED_SIZE or any(change.old is not None for change in changes):
        return [*changes]
    first: set[str] = set()
    for change in changes:
        if _is_code(change):
            _add_with_parents(change.path, first)

    def rank(change: Change) -> int:
        return 0 if change.path in first else 1 + (change.content_size > LATE_SIZE)

    return sorted(changes, key=rank)


def _is_code(change: Change) -> bool:
    return change.path.endswith(CODE) and change.content_size <= LATE_SIZE


def _add_with_parents(path: str, paths: set[str]) -> None:
    while path and path not in paths:
        paths.add(path)
        path = parent_of(path)
