"""In which order changes go over: what runs first, what is large last.

On a new machine the code is there, and can run, while data still streams; a save that is noticed
together with a large file does not wait for it. It only orders changes that do not depend on each
other; whoever sends them decides what fits a message.
"""

from __future__ import annotations

from collections.abc import Sequence

from towline.core.change import Change, is_moved, moved_contents
from towline.core.path import parent_of, parents_of

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


def large_apart(changes: Sequence[Change], size: int) -> tuple[list[Change], list[Change]]:
    """Return all that need not wait for contents of more than `size` bytes, and the rest.

    What is below a path goes with it; what is above goes before it. A content that is only moved
    stays with the change that removes it elsewhere.
    """
    moved = moved_contents(changes)
    large = {
        change.path
        for change in changes
        if change.content_size > size and not is_moved(change, moved)
    }
    if not large:
        return [*changes], []
    rest = [c for c in changes if c.path in large or not large.isdisjoint(parents_of(c.path))]
    paths = {change.path for change in rest}
    return [change for change in changes if change.path not in paths], rest


def _is_code(change: Change) -> bool:
    return change.path.endswith(CODE) and change.content_size <= LATE_SIZE


def _add_with_parents(path: str, paths: set[str]) -> None:
    while path and path not in paths:
        paths.add(path)
        path = parent_of(path)
