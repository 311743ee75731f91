"""What is on its way: paths that are dirty, and changes sent and not yet answered.

Each carries the number of the moment it became so, and flushing means waiting until nothing older
than a moment is left. Pure bookkeeping: nothing is sent or decided here.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from towline.core.entry import Entry
from towline.core.path import parent_of, parents_of


class Way(enum.Enum):
    """How a change travels. Changes of one path on one way arrive in order."""

    HOT = "hot"
    BULK = "bulk"
    PULL = "pull"


@dataclass(slots=True)
class Flight:
    """What is under way for one path: possibly several changes, one after the other."""

    way: Way
    newest: Entry | None  # What the other side will hold once the last of them has landed.
    moment: int  # Of the oldest one.
    count: int = 1


class Flights:
    def __init__(self) -> None:
        self._dirty: dict[str, int] = {}
        self._flying: dict[str, Flight] = {}
        self._flying_below: dict[str, int] = {}  # Directory → how many flights are below it.
        self._moment = 0

    @property
    def moment(self) -> int:
        """The number of the present moment: all that is noted later has a higher one."""
        return self._moment

    def note(self, paths: Iterable[str]) -> None:
        """These paths need to be reconciled. What is noted already keeps its moment."""
        self._moment += 1
        for path in paths:
            self._dirty.setdefault(path, self._moment)

    def note_all(self) -> None:
        """Everything needs to be reconciled, and has for longer than anybody could wait for it."""
        self._dirty[""] = 0

    @property
    def dirty(self) -> Iterable[str]:
        return self._dirty.keys()

    def take_free(self) -> dict[str, int]:
        """Take the dirty paths, with their moments, that nothing in flight stands in the way of.

        The root is always taken; what of it is blocked is to be restored path by path.
        """
        free = {
            path: moment
            for path, moment in self._dirty.items()
            if not path or not self.blocks(path)
        }
        for path in free:
            del self._dirty[path]
        if "" in free:  # What is on its way now is to be looked at once it has landed.
            self.restore(dict.fromkeys(self._flying, free[""]))
        return free

    def restore(self, taken: Mapping[str, int]) -> None:
        """Put back what was taken: it is dirty still, and since when it was."""
        for path, moment in taken.items():
            self._dirty[path] = min(moment, self._dirty.get(path, moment))

    def clean(self, path: str) -> int:
        """`path` is dirty no more: what made it so is taken care of. Return since when it was."""
        return self._dirty.pop(path)

    def is_hot(self, path: str) -> bool:
        flight = self._flying.get(path)
        return flight is not None and flight.way is Way.HOT

    def get(self, path: str) -> Flight | None:
        return self._flying.get(path)

    def blocks(self, path: str) -> bool:
        """Whether something is in flight at, above or below `path`."""
        return (
            path in self._flying
            or path in self._flying_below
            or any(parent in self._flying for parent in parents_of(path))
        )

    def start(self, path: str, way: Way, new: Entry | None, moment: int) -> None:
        flight = self._flying.get(path)
        if flight is not None:
            flight.newest, flight.count = new, flight.count + 1
            return
        self._flying[path] = Flight(way, new, moment)
        below = self._flying_below
        for parent in parents_of(path):
            below[parent] = below.get(parent, 0) + 1

    def land(self, path: str) -> bool:
        """One change of `path` is answered. True: it was the last one in flight there."""
        flight = self._flying.get(path)
        if flight is None:
            return True
        flight.count -= 1
        if flight.count:
            return False
        del self._flying[path]
        self._leave(parent_of(path), 1)
        return True

    def land_in(self, directory: str, paths: Iterable[str]) -> None:
        """As `land` for paths that lie in one directory."""
        landed = 0
        for path in paths:
            flight = self._flying.get(path)
            if flight is None:
                continue
            flight.count -= 1
            if not flight.count:
                del self._flying[path]
                landed += 1
        self._leave(directory, landed)

    def _leave(self, directory: str, count: int) -> None:
        """So many flights that were in a directory are no more."""
        below = self._flying_below
        for at in (directory, *parents_of(directory)) if directory and count else ():
            below[at] -= count
            if not below[at]:
                del below[at]

    def ground(self) -> list[tuple[str, Entry | None]]:
        """Give up what is in flight: its paths are dirty. Return what the machine was sent."""
        sent = [
            (path, flight.newest)
            for path, flight in self._flying.items()
            if flight.way is not Way.PULL
        ]
        for path, flight in self._flying.items():
            self._dirty[path] = min(flight.moment, self._dirty.get(path, flight.moment))
        self._flying.clear()
        self._flying_below.clear()
        return sent

    def is_done(self, moment: int) -> bool:
        """Whether all that was noted up to `moment` has landed, on either side."""
        return self._has_landed(moment, (Way.HOT, Way.BULK, Way.PULL))

    def is_there(self, moment: int) -> bool:
        """As `is_done`, but what comes from the machine may be under way."""
        return self._has_landed(moment, (Way.HOT, Way.BULK))

    def is_sent(self, moment: int) -> bool:
        """As `is_there`, but what is on its way hot has arrived before all that is sent later."""
        return self._has_landed(moment, (Way.BULK,))

    def _has_landed(self, moment: int, ways: Collection[Way]) -> bool:
        return all(at > moment for at in self._dirty.values()) and all(
            flight.moment > moment or flight.way not in ways for flight in self._flying.values()
        )

    def moment_of(self, path: str) -> int:
        flight = self._flying.get(path)
        return self._moment if flight is None else flight.moment

    def waiting(self) -> Iterator[str]:
        yield from self._dirty
        yield from self._flying

    def not_there(self) -> set[str]:
        """Return the paths that `is_there` waits for."""
        flying = (path for path, flight in self._flying.items() if flight.way is not Way.PULL)
        return {*self._dirty, *flying}

    def __len__(self) -> int:
        return len(self._flying) + sum(path not in self._flying for path in self._dirty)
