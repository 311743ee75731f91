"""When a machine ends, as far as anybody knows, and which warning is due before that.

Times are seconds of whatever clock the caller goes by. Nothing here asks how it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

WARNINGS_S = (3600.0, 900.0, 300.0)  # Before the end: to plan, to finish, to save.
LAST_S = 30.0  # Before the end: what is not on its way by then will hardly arrive.
CHANGE_S = 5.0  # A smaller difference is the same deadline, heard again over a slow line.
WHY_MAX = 200  # Letters: one line for a person.


@dataclass(frozen=True, slots=True)
class Deadline:
    at: float
    why: str

    def is_like(self, other: Deadline | None) -> bool:
        """Whether it is the same deadline, told again."""
        return other is not None and abs(self.at - other.at) < CHANGE_S and self.why == other.why


class Countdown:
    """What is left, and what of it was said. Each warning is due once; of several only the last."""

    def __init__(self) -> None:
        self.deadline: Deadline | None = None
        self._said = 0  # How many of the moments below were said, or are past.

    def set(self, deadline: Deadline | None) -> bool:
        """Go by this one from now on; False if it is the one that is known."""
        if deadline == self.deadline or (deadline and deadline.is_like(self.deadline)):
            return False
        self.deadline, self._said = deadline, 0
        return True

    def due(self, now: float) -> bool:
        """Whether something is to be said, which is then counted as said."""
        passed = sum(now >= at for at in self._moments)
        is_due, self._said = passed > self._said, max(passed, self._said)
        return is_due

    def next_at(self) -> float | None:
        """When something will be due next."""
        moments = self._moments[self._said :]
        return moments[0] if moments else None

    @property
    def _moments(self) -> list[float]:
        if self.deadline is None:
            return []
        return [self.deadline.at - before for before in (*WARNINGS_S, LAST_S, 0.0)]
