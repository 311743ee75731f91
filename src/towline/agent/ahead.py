"""The start of a new checkpoint, sent before the laptop has asked for it.

To read 200 MB for their digest takes half a second, to be asked for them a round trip: meanwhile
the line would stand still. So the content goes as a draft while it is read, and under its digest
until the laptop asks for the rest. What nobody asks for ends at `AHEAD_MAX`. One checkpoint at a
time; when it goes is decided by the mirror.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable

from towline.core.digest import BLOCK, DIGEST_SIZE
from towline.core.entry import File
from towline.core.wire.messages import AHEAD_MAX, PART_SIZE, Adopt, Ahead, Part
from towline.core.wire.records import Want
from towline.disk.observation import Observation
from towline.disk.replica import Replica

Steps = Generator[Ahead | Adopt | Part | None, None, None]


class Vanguard:
    """The checkpoint `path`, which `replica` has begun to read."""

    def __init__(self, replica: Replica, path: str) -> None:
        self.path = path
        self.at = 0  # Bytes sent.
        self.want: Want | None = None  # What the laptop asked of it.
        self._replica = replica
        self._draft = os.urandom(DIGEST_SIZE)
        self._file: File | None = None  # Once it is read.
        self._is_over = False

    def learn(self, observations: Iterable[Observation]) -> None:
        """What was read is known by its digest now."""
        for observation in observations:
            if observation.path == self.path and isinstance(observation.entry, File):
                self._file = observation.entry

    def takes(self, want: Want) -> bool:
        """Whether what is sent here, and goes on with `want`, is what is wanted."""
        is_this = (want.path, want.file) == (self.path, self._file)
        if self._is_over or not is_this or self.want is not None or want.offset > self.at:
            return False
        self.want = want
        return True

    def is_in_vain(self, want: Want) -> bool:
        """Whether the laptop, which now asks for this, has more of the same, or not its start.

        Or was given what it asked for here before, or gave it up.
        """
        return self.want is not None or want.file == self._file

    def steps(self) -> Steps:
        """Yield what goes next, None for nothing yet; end when it was asked for, or never was."""
        try:
            yield from self._as_draft()
            if self.at:  # Else the laptop would not know what this is the start of.
                yield self._adopted()
                yield from self._by_digest()
        finally:
            self._is_over = True

    def _as_draft(self) -> Steps:
        while self._file is None and self._replica.reading.path == self.path:
            data = self._replica.outgoing.read_unread(
                self.path, self.at, min(PART_SIZE, self._room)
            )
            yield Ahead(self.path, self._draft, self.at, data) if data else None
            self.at += len(data)

    def _adopted(self) -> Adopt:
        if self._file is None:  # It was changed, or is gone.
            return Adopt(self._draft, self._draft, 0)
        self.at -= self.at % BLOCK  # More than its blocks cannot be taken over.
        return Adopt(self._draft, self._file.digest, self.at)

    def _by_digest(self) -> Steps:
        file = self._file
        while file is not None and self.want is None and (size := min(PART_SIZE, self._room)):
            data = yield from self._replica.outgoing.part_steps(self.path, file, self.at, size)
            if not data:
                return
            yield Part(file.digest, file.size, self.at, data)
            self.at += len(data)

    @property
    def _room(self) -> int:
        return AHEAD_MAX - self.at
