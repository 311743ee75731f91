"""What stands somewhere now, where something else stood before. Pure: nothing looks at a disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from towline.core.entry import Directory, Entry
from towline.core.path import is_below, join


@dataclass(frozen=True, slots=True)
class Observation:
    """What stands at `path` now, where something else stood before. A directory comes whole."""

    path: str
    entry: Entry | None


def uppermost(paths: Iterable[str]) -> list[str]:
    """Return the paths in order, without those below another one."""
    kept: list[str] = []
    for path in sorted(paths, key=lambda path: path.replace("/", "\0")):  # Name by name.
        if not kept or not is_below(path, kept[-1]):
            kept.append(path)
    return kept


def differences(path: str, old: Entry | None, new: Entry | None) -> Iterator[Observation]:
    """Yield what differs at and below `path`; directories of both times name by name."""
    if isinstance(old, Directory) and isinstance(new, Directory):
        for name in sorted({*old.children, *new.children}):
            child_old, child_new = old.children.get(name), new.children.get(name)
            yield from differences(join(path, name), child_old, child_new)
    elif old != new:
        yield Observation(path, new)
