"""A program in a terminal of its own, as a person has it: what is typed, what is shown."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

WAIT_S = 30.0
ROWS, COLUMNS = 33, 101


class Terminal:
    """It goes, and its program with it, at the end of the `with` block."""

    def __init__(
        self, argv: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._ours, theirs = os.openpty()
        size = ["stty", "rows", str(ROWS), "columns", str(COLUMNS)]
        subprocess.run(size, stdin=theirs, check=True)
        self.process = subprocess.Popen(
            argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.shown = b""
        self._found = 0  # Up to where something was waited for.

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_shown(self, pattern: str) -> None:
        """Wait until this is shown, after what was waited for last."""
        ends_at = time.monotonic() + WAIT_S
        while not (match := re.compile(pattern.encode()).search(self.shown, self._found)):
            left_s = max(0.0, ends_at - time.monotonic())
            assert select.select([self._ours], [], [], left_s)[0], f"no {pattern!r}: {self.shown!r}"
            self.shown += os.read(self._ours, 4096)
        self._found = match.end()

    def wait_exit(self) -> int:
        """Wait until the program ends; return its exit code. Then all is shown that it printed."""
        code = self.process.wait(WAIT_S)
        with suppress(OSError):
            while part := os.read(self._ours, 4096):
                self.shown += part
        return code
