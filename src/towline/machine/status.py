"""The file that says how this machine can be reached: the agent here tells a linked laptop of it.

What cannot be written, as on a full disk, is written later: a laptop that looks for the machine at
an address of before would not find it any more. What the status means is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import anyio

from towline.machine.place import Json, write_private

AGAIN_S = 10.0


class StatusFile:
    def __init__(self, path: Path, progress: Callable[[str], None]) -> None:
        self._path = path
        self._progress = progress
        self._unwritten: Json | None = None

    def write(self, status: Json) -> None:
        """Replace what stands there, or leave that to `keep`."""
        had_failed = self._unwritten is not None
        try:
            write_private(self._path, json.dumps(status))
            self._unwritten = None
        except OSError as error:
            self._unwritten = status
            if not had_failed:
                self._progress(f"{self._path} cannot be written for now: {error.strerror}")

    async def keep(self) -> NoReturn:
        """Write again what could not be, until it is there."""
        while True:
            await anyio.sleep(AGAIN_S)
            if self._unwritten is not None:
                self.write(self._unwritten)
