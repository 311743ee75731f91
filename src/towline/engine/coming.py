"""Which checkpoints are on their way from the machine, or known to be, whatever stage they are at.

Being written there, told and not planned, waiting, under way, or failed and to be tried again.
Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from towline.core.checkpoint import Checkpoints
from towline.core.entry import Directory
from towline.core.path import is_below
from towline.engine.flights import Flights
from towline.engine.notices import Notices
from towline.engine.trees import Trees


class Coming:
    """`stuck` returns the paths that failed on the laptop and will be tried again."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        trees: Trees,
        flights: Flights,
        notices: Notices,
        stuck: Callable[[], Iterable[str]],
    ) -> None:
        self.checkpoints = checkpoints
        self._trees = trees
        self._flights = flights
        self._notices = notices
        self._stuck = stuck

    def below(self, directory: str) -> list[str]:
        """Return the checkpoints below a directory, and directories that may hold more of them."""
        written = (path for side, path in self._notices.unsettled if side == "machine")
        paths = {*self._flights.waiting(), *self._stuck(), *written}
        return [path for path in paths if is_below(path, directory) and self._counts(path)]

    def _counts(self, path: str) -> bool:
        there = self._trees.remote.get(path)
        if there is None:  # What is gone there does not come, however dirty it is.
            return False
        is_checkpoint = self.checkpoints.covers(path) and not self.checkpoints.is_mark(path)
        return is_checkpoint or isinstance(there, Directory)
