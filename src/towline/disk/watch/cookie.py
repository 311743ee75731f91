"""Cookies: files whose own event proves that all earlier events of a root have been read."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

from towline.core.path import OWN_DIRECTORY
from towline.disk.own import ensure_own_directory, ensure_private_directory

COOKIES = f"{OWN_DIRECTORY}/cookies"


class Cookies:
    """The cookie files of one root. Names are unique over all processes that watch it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directory = root / COOKIES
        self._prefix = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._numbers = itertools.count(1)

    def ensure_directory(self) -> str:
        ensure_own_directory(self._root)
        return str(ensure_private_directory(self._directory))

    def new_name(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    def place(self, name: str) -> None:
        """Make the file. Raises `FileNotFoundError` if the directory has gone."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(os.open(self._directory / name, flags, 0o600))

    def remove(self, name: str) -> None:
        with suppress(OSError):  # Another process that watches this root may have been quicker.
            os.unlink(self._directory / name)

    def remove_all(self) -> None:
        """Remove what a crash left behind."""
        for name in self._names():
            self.remove(name)

    def touch_all(self) -> None:
        """Cause an event for each cookie that was placed while nothing watched."""
        for name in self._names():
            with suppress(OSError):
                os.utime(self._directory / name)

    def _names(self) -> list[str]:
        with suppress(OSError):
            return os.listdir(self._directory)
        return []
