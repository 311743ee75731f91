"""The pen: deletions from the machine wait in it before they are carried out here.

All of them until no more come, so that a large `rm -r` is judged as the one thing it is. Before
that some wait for contents: what was moved there is deleted and made anew, and until it has come
here, what is deleted may be the last that the laptop has of it. Nothing is planned or judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set

QUIET_S = 0.3  # How long no other deletion may have come.


class Pen:
    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._behind: dict[str, Set[bytes]] = {}  # Path → the contents that it waits for.
        self._until = 0.0
        self._ripe: set[str] = set()  # They have waited, and go once nothing is in the way.

    def clear(self) -> None:
        self._waiting.clear()
        self._behind.clear()
        self._ripe.clear()

    def put(self, path: str, now: float) -> None:
        self._waiting.add(path)
        self._until = now + QUIET_S

    def put_behind(self, path: str, contents: Set[bytes]) -> None:
        """Let it wait until all these contents have come, or come no more."""
        self._behind[path] = contents

    def look(self, now: float, to_come: Callable[[], Set[bytes]]) -> None:
        """Let those whose contents have come wait like all others; `to_come` returns the rest."""
        if not self._behind:
            return
        awaited = to_come()
        for path in [p for p, contents in self._behind.items() if awaited.isdisjoint(contents)]:
            del self._behind[path]
            self.put(path, now)

    def deadline(self) -> float | None:
        """When some become ripe, if no more come and nothing else happens."""
        return self._until if self._waiting else None

    def ripen(self, now: float) -> Set[str]:
        """Return all that are in it, once no more have come for a while; they are ripe now.

        Those that wait for contents among them: one judgement is on all.
        """
        if not self._waiting or now < self._until:
            return frozenset()
        paths = self.empty()
        self._ripe |= paths
        return paths

    def empty(self) -> Set[str]:
        """Let all out as they are."""
        paths = self._waiting | self._behind.keys()
        self._waiting.clear()
        self._behind.clear()
        return paths

    def is_ripe(self, path: str) -> bool:
        return path in self._ripe

    def forget(self, planned: Iterable[str]) -> None:
        """What was ripe has been planned."""
        self._ripe.difference_update(planned)
