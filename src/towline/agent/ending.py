"""The end of this machine: who knows of it tells it here, and here it is told to whoever asks.

It stands in a file beside the agent's socket, as JSON: `at` (Unix time), `why`, and `left_s` as it
was when the file was written last, which is at each warning. `warned` is called then, too. Times
are Unix times; nothing is stopped or killed here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from towline.agent.place import find_place
from towline.core.deadline import WHY_MAX, Countdown, Deadline

Warned = Callable[[float, str], None]


class Ending:
    """`file` is where it is told; the empty text for nowhere."""

    def __init__(self, file: str = "") -> None:
        self._file = file
        self._countdown = Countdown()
        self._lives_s = 0.0
        self.warned: list[Warned] = []  # Called with the seconds that are left, and why.
        self.number = 0  # Rises with each change.

    @property
    def deadline(self) -> Deadline | None:
        return self._countdown.deadline

    def learn(self, deadline: Deadline | None, lives_s: float = 0.0) -> None:
        """What the laptop or the machine itself says. It counts until something earlier is told.

        The same said again, after a restart of the laptop, changes nothing.
        """
        if deadline is None or (lives_s and lives_s == self._lives_s):
            return
        self._lives_s = lives_s
        self._set(deadline)

    def tell(self, at: float, why: str) -> None:
        """Somebody on the machine knows better: a notice of the provider, a program of its own."""
        self._set(Deadline(at, " ".join(why.split())[:WHY_MAX]))

    def step(self, now: float) -> None:
        """Warn if a warning is due."""
        deadline = self.deadline
        if deadline is not None and self._countdown.due(now):
            left_s = max(0.0, deadline.at - now)
            self._write(left_s)
            for warned in self.warned:
                warned(left_s, deadline.why)

    def next_at(self) -> float | None:
        return self._countdown.next_at()

    def as_json(self, now: float) -> dict[str, Any]:
        """Return what is told to a program on the machine: nothing, if nothing is known."""
        deadline = self.deadline
        if deadline is None:
            return {}
        left_s = round(max(0.0, deadline.at - now), 1)
        return {"ends_in_s": left_s, "ends_why": deadline.why}

    def _set(self, deadline: Deadline) -> None:
        if self._countdown.set(deadline):
            self.number += 1
            self._write(None)

    def _write(self, left_s: float | None) -> None:
        deadline = self.deadline
        if not self._file or deadline is None:
            return
        told = {"at": deadline.at, "why": deadline.why, "left_s": left_s}
        beside = f"{self._file}.new"
        with suppress(OSError):  # It only informs.
            with open(beside, "w") as file:
                json.dump(told, file)
            os.replace(beside, self._file)


def known_end(workspace: str) -> dict[str, Any] | None:
    """Return what the agent of a workspace has told of the end, for programs beside it."""
    place = find_place(workspace)
    try:
        with open(place.deadline if place else "", encoding="utf-8") as file:
            plain: object = json.loads(file.read(4096))
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", plain) if isinstance(plain, dict) else None
