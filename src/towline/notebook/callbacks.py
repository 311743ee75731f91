"""`@towline.on_change`: functions to be called when files that are no modules have changed.

They are called before a cell, after the modules of the same change are loaded, in the order in
which they were declared. Nothing is called in the background.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

Callback = Callable[[list[Path]], object]
Stamp = tuple[int, int, int]


@dataclass
class OnChange:
    """A function and the pattern it waits for, relative to a project's folder."""

    pattern: str
    call: Callback
    stamps: dict[str, Stamp] = field(default_factory=dict[str, Stamp])

    @property
    def name(self) -> str:
        module = getattr(self.call, "__module__", "")
        return f"{module}.{getattr(self.call, '__qualname__', repr(self.call))}"


class Callbacks:
    def __init__(self) -> None:
        self._known: list[OnChange] = []
        self._due: dict[int, set[str]] = {}

    def add(self, pattern: str, call: Callback, roots: Iterable[str]) -> None:
        """Call `call` from the next change on. A cell that is run again declares nothing twice."""
        new = OnChange(pattern, call)
        new.stamps = _stamps(pattern, roots)
        self._known = [
            one for one in self._known if (one.name, one.pattern) != (new.name, new.pattern)
        ]
        self._known.append(new)

    def note(self, changed: Sequence[str] | None, roots: Sequence[str]) -> None:
        """Say what changed below `roots`; None if anything may have."""
        for one in self._known:
            paths = _differing(one, roots) if changed is None else _matching(one, changed, roots)
            if paths:
                self._due.setdefault(id(one), set()).update(paths)

    def call_due(self) -> list[str]:
        """Call those whose files changed. Return a line for each that raised."""
        due, self._due = self._due, {}
        lines: list[str] = []
        for one in [one for one in self._known if id(one) in due]:
            paths = sorted(due[id(one)])
            one.stamps.update((path, stamp) for path in paths if (stamp := _stamp(path)))
            try:
                one.call([Path(path) for path in paths])
            except Exception as error:
                where = os.path.basename(paths[0])
                lines.append(f"on_change {one.name}: {where}: {type(error).__name__}: {error}")
        return lines


def matches(pattern: str, path: str) -> bool:
    """Whether a path fits, part by part; `**` stands for any number of folders."""
    return _fits(pattern.strip("/").split("/"), path.split("/"))


def _fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(pattern[1:], parts[at:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(pattern[1:], parts[1:])


def _matching(one: OnChange, changed: Sequence[str], roots: Sequence[str]) -> set[str]:
    """Return the files that fit among `changed`; a folder there may stand for all below it."""
    found: set[str] = set()
    for root in roots:
        for path in changed:
            if not path.startswith(f"{root}/"):
                continue
            if matches(one.pattern, path[len(root) + 1 :]):
                found.add(path)
            found |= {known for known in one.stamps if known.startswith(f"{path}/")}
    return found


def _differing(one: OnChange, roots: Iterable[str]) -> set[str]:
    now = _stamps(one.pattern, roots)
    paths = now.keys() | one.stamps.keys()
    return {path for path in paths if now.get(path) != one.stamps.get(path)}


def _stamps(pattern: str, roots: Iterable[str]) -> dict[str, Stamp]:
    found = (
        f"{root}/{path}"
        for root in roots
        for path in glob.glob(pattern.strip("/"), root_dir=root, recursive=True)
    )
    return {path: stamp for path in found if (stamp := _stamp(path)) is not None}


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
