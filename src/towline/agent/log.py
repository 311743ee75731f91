"""The agent's log: the few lines that explain how it ended, in a file that cannot grow.

It is written when something is wrong or begins or ends, never for each change.
"""

from __future__ import annotations

import os
import time
import traceback

LOG_MAX = 256 << 10  # Bytes, before the file becomes the old one: a hundred tracebacks.


class Log:
    """A log file and the one before it (`.1`). A disk that cannot take it loses only the log."""

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            if os.path.exists(self._path) and os.path.getsize(self._path) > LOG_MAX:
                os.replace(self._path, self._path + ".1")
            with open(self._path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{stamp} [{os.getpid()}] {text[:LOG_MAX]}\n")
        except OSError:
            return

    def write_traceback(self, error: BaseException) -> None:
        self.write("".join(traceback.format_exception(error)).rstrip())
