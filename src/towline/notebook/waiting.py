"""Says that somebody waits, once it has gone on for a while, and takes it back at the end.

Whatever a cell prints is kept in the notebook's file: of a wait that is over nothing may remain.
"""

from __future__ import annotations

import time
from typing import Any, cast

from IPython import display

from towline.notebook import words

SHOWN_AFTER_S = 0.3  # A wait that is shorter is not worth a word.


class Waiting:
    """Call it now and then while waiting, and `end` it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_shown = False
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._began = time.monotonic()

    def __call__(self) -> None:
        if not self._is_shown and time.monotonic() - self._began > SHOWN_AFTER_S:
            self._is_shown = True
            print(f"{words.PREFIX}waiting for {self._what} …", end="", flush=True)  # noqa: T201

    def end(self) -> None:
        if self._is_shown:
            cast("Any", display).clear_output()
            self._is_shown = False
