"""The lock file in its project, and whether it is as this laptop has written or accepted it.

Only such a file is replaced, or restored, without being asked: another came with a clone or from a
person's hand, and is theirs to decide about.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from towline.core.path import OWN_DIRECTORY
from towline.environment.lock import NAME, SIZE_MAX, Json, from_text, to_text
from towline.errors import ExitCode, UserError
from towline.places import ensure_private, state_dir, write_private


class LockFile:
    def __init__(self, project: Path) -> None:
        self.path = project / NAME
        self._project = project
        self._note = ensure_private(state_dir() / "environment") / _digest(str(project))

    def text(self) -> str | None:
        """Return the file's content, None if there is none. Raises UserError."""
        try:
            with self.path.open(encoding="utf-8") as file:
                text = file.read(SIZE_MAX + 1)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UserError(f"{NAME} cannot be read: {error}", "", ExitCode.CONFIG) from None
        if len(text) > SIZE_MAX:
            raise UserError(f"{NAME} is too large", "", ExitCode.CONFIG)
        return text

    def lock(self) -> Json | None:
        """Return what the file lists, None if there is none. Raises UserError."""
        text = self.text()
        return None if text is None else from_text(text)

    def is_ours(self) -> bool:
        """Whether this laptop wrote the file, or restored it when asked to, as it is."""
        text = self.text()
        try:
            return text is not None and self._note.read_text("ascii") == _digest(text)
        except OSError:
            return False

    def accept(self) -> None:
        write_private(self._note, _digest(self.text() or ""))

    def write(self, captured: Json) -> bool:
        """Write down what was captured; return whether that is news. Raises UserError."""
        text = to_text(captured)
        if text == self.text():
            self.accept()
            return False
        beside = self._project / OWN_DIRECTORY / f"{NAME}.{os.getpid()}"
        if not beside.parent.is_dir():
            beside = self.path.with_name(f".{beside.name}~")
        try:
            beside.write_text(text, "utf-8")
            beside.replace(self.path)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written: {error.strerror}", "", ExitCode.CANNOT_WRITE
            ) from None
        self.accept()
        return True


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
