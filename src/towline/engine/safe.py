"""How much of what the machine holds is safe on the laptop: up to when, and what is missing.

Safe is a version of a file that comes to the laptop by the direction rules once its content and
its name are on the laptop's disk. What is still being written there is no version yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from towline.core.entry import File
from towline.core.wire.messages import Settle
from towline.engine.flights import Flights
from towline.engine.notices import Notices
from towline.engine.plan import Planner
from towline.engine.pull import Puller


@dataclass(frozen=True, slots=True)
class Safety:
    """`at`: Unix time up to which everything is safe; None: it never was, while this engine ran."""

    at: float | None
    behind: int  # Bytes of content that have yet to come.
    being_written: int  # Checkpoints that are no version yet.


class Safe:
    """`is_known` says whether both trees are known. `heard_at` is when the machine said what it
    last said, in Unix time. `blocked` returns what cannot come for what is not synced at these
    paths of the laptop, and its size.

    After a gap in the connection what is heard first may have been said long before. Nothing is
    believed to be as it was until the machine has answered a `question` that was asked since.
    """

    def __init__(
        self,
        flights: Flights,
        planner: Planner,
        puller: Puller,
        notices: Notices,
        is_known: Callable[[], bool],
        heard_at: Callable[[], float],
        blocked: Callable[[Iterable[str]], Iterable[tuple[str, int]]],
    ) -> None:
        self._flights = flights
        self._planner = planner
        self._puller = puller
        self._notices = notices
        self._is_known = is_known
        self._heard_at = heard_at
        self._blocked = blocked
        self._at: float | None = None
        self._moment = 0  # Of the last that the machine told.
        self._asked = self._answered = 0

    def note(self) -> None:
        """To be called before anything is taken in that may make it untrue."""
        if self._asked == self._answered and self._is_all_here():
            self._at = max(self._heard_at(), self._at or 0.0)

    def begin_life(self) -> None:
        """The machine is about to tell all it has."""
        self._answered = self._asked

    def doubt(self) -> None:
        """There is a gap: what is said before it has answered the next question may be old."""
        self.note()
        self._asked += 1

    @property
    def question(self) -> Settle:
        """What the machine answers behind all that it has said, and noticed, before."""
        return Settle(self._asked)

    def trust(self, answered: int) -> None:
        """The machine has answered a question; only the last one counts."""
        self._answered = answered

    def note_told(self) -> None:
        """The machine has told something, which is noted as dirty."""
        self._moment = self._flights.moment

    def now(self) -> Safety:
        self.note()
        missing = sum(size for _, size in self._missing())
        written = sum(1 for _ in self._being_written())
        return Safety(self._at, self._puller.left + missing, written)

    @property
    def received(self) -> int:
        """Bytes of content that have come so far."""
        return self._puller.received

    def missing(self) -> list[str]:
        """Return the paths of what is not safe, what is being written last."""
        missing = (path for path, _ in self._missing())
        return [*self._puller.waiting, *missing, *self._being_written()]

    def _is_all_here(self) -> bool:
        is_done = self._flights.is_done(self._moment) and self._planner.is_done(self._moment)
        is_planned = self._is_known() and not self._planner.held
        return is_planned and is_done and not any(self._missing())

    def _missing(self) -> Iterator[tuple[str, int]]:
        """Yield what is not on its way: something failed, or it has no place on the laptop."""
        for stuck in self._planner.stuck.values():
            change, old = stuck.change, stuck.change.old
            if stuck.side == "laptop":
                yield change.path, change.content_size
            elif change.keep is not None:  # It comes once it has another name there.
                yield change.path, old.size if isinstance(old, File) else 0
        problems = self._notices.problems
        yield from self._blocked(path for side, path in problems if side == "laptop")

    def _being_written(self) -> Iterator[str]:
        return (path for side, path in self._notices.unsettled if side == "machine")


def together(parts: Sequence[Safety]) -> Safety:
    """Return what is true of several folders as one."""
    times = [part.at for part in parts if part.at is not None]
    return Safety(
        at=min(times) if len(times) == len(parts) else None,
        behind=sum(part.behind for part in parts),
        being_written=sum(part.being_written for part in parts),
    )
