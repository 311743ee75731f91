"""One JSON object per line, flushed: `towline link --json`. The schema is `as_json`'s."""

from __future__ import annotations

import json
from typing import TextIO

from towline.engine.events import Event, Status, as_json


class Jsonl:
    """Writes events; with `statuses` also each status, under that key."""

    def __init__(self, stream: TextIO, *, statuses: bool = False) -> None:
        self._stream = stream
        self._statuses = statuses

    def __enter__(self) -> Jsonl:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def __call__(self, item: Event | Status) -> None:
        if not isinstance(item, Status):
            self._write(as_json(item))
        elif self._statuses:
            self._write({"status": as_json(item)})

    def _write(self, value: dict[str, object]) -> None:
        self._stream.write(json.dumps(value) + "\n")
        self._stream.flush()
