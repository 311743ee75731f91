"""One line per event, for what is not a terminal: a pipe, a log, a build's output."""

from __future__ import annotations

import time
from typing import TextIO

from towline.engine.events import Event, Ready, State, Status, Stopped
from towline.ui.words import event_text, left_out_texts, notebook_texts, place_text

QUIET_STATES = {State.LIVE, State.DISCONNECTED, State.HELD, State.STOPPED}  # They have an event.


class Plain:
    """Writes events, and the states on the way to the first of them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._state: State | None = None
        self._end: Stopped | None = None

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._end is not None and exc[0] is None:  # An error says the same, and more.
            self._write(event_text(self._end))

    def __call__(self, item: Event | Status) -> None:
        if isinstance(item, Status):
            if item.state is not self._state and item.state not in QUIET_STATES:
                self._write(f"{item.state.value}: {place_text(item)}")
            self._state = item.state
            return
        if isinstance(item, Stopped):
            self._end = item
            return
        self._write(event_text(item))
        if isinstance(item, Ready):
            for line in (*notebook_texts(item), *left_out_texts(item.left_out)):
                self._write(line)

    def _write(self, line: str) -> None:
        self._stream.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        self._stream.flush()
