"""A workspace's log: its events as JSON lines with the time, in a file that does not grow forever.

What a background engine writes to its standard error lands in the same file, so a line may also be
plain text. Nothing is rendered here.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from towline.engine.events import Event, Status, as_json

LOG_MAX = 4 << 20  # Bytes. Then it is moved to `.old`; some 40,000 events stay readable.
POLL_INTERVAL_S = 0.2  # A person follows; a notification would be more code than it is worth.


class Log:
    """Appends events to `path`. Statuses are not kept: they are states, not happenings."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, item: Event | Status) -> None:
        """A full disk does not stop the sync; that says so by itself."""
        if not isinstance(item, Status):
            with suppress(OSError):
                self._write({"at": time.time(), **as_json(item)})

    def _write(self, value: dict[str, Any]) -> None:
        """One write per line, so that lines of two writers do not mix."""
        descriptor = open_log(self._path)
        try:
            os.write(descriptor, json.dumps(value).encode() + b"\n")
        finally:
            os.close(descriptor)


def open_log(path: Path) -> int:
    """Return a descriptor that appends, moving a log that is full out of the way first."""
    if path.exists() and path.stat().st_size > LOG_MAX:
        path.replace(path.with_name(path.name + ".old"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def last_lines(path: Path, count: int) -> list[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []


def follow_lines(path: Path) -> Iterator[str]:
    """Yield lines as they are appended, from now on, also across a move to `.old`. Never ends."""
    position = path.stat().st_size if path.exists() else 0
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            position = 0
        if size > position:
            with path.open("rb") as file:
                file.seek(position)
                for line in file.read(LOG_MAX).splitlines(keepends=True):
                    if line.endswith(b"\n"):
                        position += len(line)
                        yield line.decode("utf-8", "replace").rstrip("\n")
        time.sleep(POLL_INTERVAL_S)


def parse_line(line: str) -> dict[str, Any] | None:
    """Return the event with its time, or None where the line is plain text."""
    try:
        value: Any = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]
