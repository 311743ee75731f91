"""A kernel on the machine: it remembers what files held, and looks again only at what it is told.

What it believes after an answer must be what is there; that is all that keeps a cell from running
stale code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class Kernel:
    """`contents` returns what the machine's folder holds, by path."""

    def __init__(self, root: str, contents: Callable[[], dict[str, bytes]]) -> None:
        self._root = root
        self._contents = contents
        self._believed: dict[str, bytes] = {}
        self.position: str | None = None

    def take(self, answer: dict[str, Any]) -> list[str]:
        """Take an answer in; return the paths about which the kernel is wrong nevertheless."""
        self.position = answer.get("position")
        now = self._contents()
        changes = answer.get("changes")
        if changes is None:
            self._believed = dict(now)
            return []
        for path in self._relative(changes):
            below = f"{path}/"
            for known in [k for k in self._believed if k == path or k.startswith(below)]:
                del self._believed[known]
            found = {k: v for k, v in now.items() if k == path or k.startswith(below)}
            self._believed.update(found)
        paths = now.keys() | self._believed.keys()
        return sorted(path for path in paths if now.get(path) != self._believed.get(path))

    def _relative(self, paths: Iterable[str]) -> list[str]:
        return [path.removeprefix(self._root).lstrip("/") for path in paths]
