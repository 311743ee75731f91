"""Large files that changed, read a little at a time, so that nothing else waits for them.

A file is begun once its stamp is settled: what is written to it later shows. Until it is read, its
path is taken for what it was. Nothing here knows a tree or a peer.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from towline.core.delta import Stretch
from towline.core.digest import root_of
from towline.core.entry import Entry, File, Unsynced
from towline.core.problem import ProblemKind
from towline.disk.cache import is_settled, stamp_of
from towline.disk.look import Look
from towline.disk.signatures import BlockReader

PIECES = 4  # Read in one step: a few milliseconds.
PIECES_MARKED = 16  # The same, where marks tell most blocks.
UNSETTLED_S = 0.005  # How long to wait for a stamp to settle before looking again.
UNSETTLED_MAX = 600  # How often: for longer than any file system's clock takes to tick.


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file is read that was `basis` before, and how that much is made of it.

    `number`: of the attempt; a file that changes meanwhile is read anew. `tail`: what was appended,
    if that seems to be all. `in_blocks`: as far as its size tells, what is not found in the old
    version has not just moved by less than a block. `digest`: once it is read.
    """

    path: str
    basis: bytes
    number: int
    stretches: Sequence[Stretch]
    tail: Stretch | None = None
    in_blocks: bool = True
    digest: bytes | None = None


class Reading:
    def __init__(self, look: Look) -> None:
        self._look = look
        self._waiting: dict[str, int] = {}  # Path → how often its stamp was found unsettled.
        self._path = ""
        self._steps: Generator[BlockReader, None, Entry] | None = None
        self._reader: BlockReader | None = None  # Of the present attempt to read it.
        self._number = 0  # Of that attempt.
        self._is_settling = False

    @property
    def path(self) -> str | None:
        """What is being read now."""
        return self._path if self._steps is not None else None

    @property
    def paths(self) -> set[str]:
        """What has yet to be read."""
        return {*self._waiting, *([self._path] if self._steps else ())}

    def delay_s(self) -> float | None:
        """How long `step` may wait. None: there is nothing to be read."""
        if not self._waiting and self._steps is None:
            return None
        return UNSETTLED_S if self._is_settling else 0.0

    def add(self, path: str) -> None:
        """Read this path when its turn comes. What changes while it is read is met by itself."""
        if path != self._path or self._steps is None:
            self._waiting.setdefault(path, 0)

    def step(self) -> tuple[tuple[str, Entry | None] | None, Progress | None]:
        """Read on. Return what was found if a file is read now, and how far it or another is."""
        steps = self._steps or self._begin()
        if steps is None:
            return None, None
        try:
            for _ in range(PIECES_MARKED if self._reader and self._reader.marked else PIECES):
                if (reader := next(steps)) is not self._reader:
                    self._reader, self._number = reader, self._number + 1
        except StopIteration as end:
            entry: Entry | None = end.value
        except (FileNotFoundError, NotADirectoryError):
            entry = None
        except OSError as error:
            entry = Unsynced(ProblemKind.UNREADABLE, error.strerror or str(error))
        else:
            return None, self._progress()
        progress = self._progress(entry)
        self._steps = self._reader = None
        return (self._path, entry), progress

    def _begin(self) -> Generator[BlockReader, None, Entry] | None:
        """Begin with the first file whose stamp is settled, or has been waited for long enough."""
        for path, looks in self._waiting.items():
            if looks >= UNSETTLED_MAX or self._is_settled(path):
                del self._waiting[path]
                self._path, self._steps = path, self._look.read_steps(path)
                break
            self._waiting[path] += 1
        self._is_settling = self._steps is None
        return self._steps

    def _is_settled(self, path: str) -> bool:
        try:
            stamp = stamp_of(self._look.folder.lstat(path))
        except OSError:
            return True
        return is_settled(stamp, self._look.now_ns())

    def _progress(self, entry: Entry | None = None) -> Progress | None:
        """Return how far the file is read; with `entry` if that is what was read."""
        reader = self._reader
        if reader is None or reader.matching is None:
            return None
        return Progress(
            self._path,
            reader.matching.old.digest,
            self._number,
            reader.matching.stretches(),
            reader.tail,
            reader.in_blocks,
            entry.digest
            if isinstance(entry, File) and entry.digest == root_of(reader.leaves())
            else None,
        )
