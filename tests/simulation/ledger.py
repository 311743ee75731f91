"""What users wrote, and what they themselves did away with: who must still be found at the end.

Each content is unique, so its bytes tell it apart wherever they turn up. A content is owed until
a user overwrites or deletes it where it is to be seen, or it was only on a machine that was lost.
"""

from __future__ import annotations

from collections.abc import Iterable


class Ledger:
    def __init__(self) -> None:
        self.known: set[bytes] = {b""}  # Each state of a file that a user ever made.
        self.owed: dict[bytes, str] = {}  # Content → who wrote it where.
        self._count = 0

    def fresh(self, size: int) -> bytes:
        """Return a content that never was before, of about `size` bytes."""
        self._count += 1
        line = b"%06d " % self._count
        return (line * (size // len(line) + 1))[: max(size, len(line))] + b"\n"

    def wrote(self, content: bytes, where: str) -> None:
        """A user made a file hold this."""
        self.known.add(content)
        if content:
            self.owed[content] = where

    def gave_up(self, contents: Iterable[bytes]) -> None:
        """A user who could see these did away with them; or they went down with a machine."""
        for content in contents:
            self.owed.pop(content, None)

    def missing(self, present: set[bytes]) -> list[str]:
        """Say what is owed and not present."""
        return [
            f"{where}: {content[:7].decode()}({len(content)} bytes)"
            for content, where in self.owed.items()
            if content not in present
        ]
