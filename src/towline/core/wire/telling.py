"""Trees and lists, told in messages of bounded size: what fits one, and what comes next.

Sizes are reckoned, not measured: what a header takes at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from towline.core.entry import Directory, Entry, Symlink, Unsynced
from towline.core.problem import Problem
from towline.core.wire.messages import HEADER_SIZE, TreePart
from towline.core.wire.records import Row

ROWS_MAX = 4096  # Entries per message when a tree is told in parts.

T = TypeVar("T")


def tree_parts(told: Iterable[Row]) -> Iterator[TreePart]:
    """Yield the rows of a tree as messages of bounded size."""
    rows: list[Row] = []
    size = 0
    for row in told:
        rows.append(row)
        size += header_size_of(*row)
        if len(rows) >= ROWS_MAX or size >= HEADER_SIZE:
            yield TreePart(tuple(rows))
            rows, size = [], 0
    if rows:
        yield TreePart(tuple(rows))


def header_size_of(path: str, entry: Entry | Problem | None = None) -> int:
    """Return what a row takes in a header at most, in bytes: JSON may write six for a character."""
    text = ""
    if isinstance(entry, Symlink):
        text = entry.target
    elif isinstance(entry, Unsynced | Problem):
        text = entry.detail
    return 6 * (len(path) + len(text)) + 128


def fitting(rows: Iterable[T], size_of: Callable[[T], int]) -> tuple[T, ...]:
    """Return the first of the rows: as many as one message may hold beside others."""
    fits: list[T] = []
    size = 0
    for row in rows:
        size += size_of(row)
        if size > HEADER_SIZE:
            break
        fits.append(row)
    return tuple(fits)


def rows_of(path: str, entry: Entry | None) -> Iterator[Row]:
    """Yield the row of an entry, then, for a directory, the rows of all that is in it."""
    yield path, entry
    if isinstance(entry, Directory):
        for name in sorted(entry.children):
            yield from rows_of(f"{path}/{name}", entry.children[name])
