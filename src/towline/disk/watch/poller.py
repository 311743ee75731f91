"""Directories that are looked over again and again, since nothing tells of their changes.

A poller compares what it sees with what it saw. It does not find its directories itself: it says
which have come and gone, and its user adds and removes them.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from towline.core.path import join, name_of, parent_of
from towline.disk.watch.base import Clock

POLL_SHORTEST_S = 1.0  # Between passes after a change: what a person still takes for prompt.
POLL_LONGEST_S = 10.0  # After a long quiet.
POLL_GROWTH = 1.5  # How much longer each quiet pass makes the pause.
POLL_SHARE = 0.1  # Of a processor's time at most, however large the tree.
POLL_SLICE = 2_000  # Entries looked at in one step (some 10 ms), so that a loop stays fair.
RACY_NS = 20_000_000  # A file that changed within this may change again unseen (ext4's clock).

Signature = tuple[int, int, int, int, int]  # mtime_ns, ctime_ns, size, inode, mode.
_UNSURE: Signature = (-1, -1, -1, -1, 0)  # Equals no file: it is reported once more.


@dataclass(slots=True)
class Looked:
    """What one step found out."""

    paths: set[str] = field(default_factory=set[str])  # To be looked at by the reader.
    active: set[str] = field(default_factory=set[str])  # Polled directories with a change inside.
    arrived: set[str] = field(default_factory=set[str])  # New directories, to be added.
    departed: set[str] = field(default_factory=set[str])  # Directories to be removed.
    answered: list[str] = field(default_factory=list[str])  # Questions that this pass answers.


class Poller:
    def __init__(self, root: str, now: Clock) -> None:
        self._root = root
        self._now = now
        self._children: dict[str, dict[str, Signature]] = {}
        self._pending: deque[str] = deque()
        self._asked: deque[str] = deque()
        self._answering: list[str] = []
        self._passing = False
        self._changed = False
        self._spent_s = 0.0  # In steps of the pass that is under way.
        self._pause_s = POLL_SHORTEST_S
        self._due = now() + POLL_SHORTEST_S
        self.passes = 0

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[str]:
        return iter(self._children)

    def __contains__(self, directory: str) -> bool:
        return directory in self._children

    def add(self, directory: str) -> list[tuple[str, bool]]:
        """Begin to poll; return what is there now: names, and whether each is a directory.

        Raises `OSError` if the directory cannot be read.
        """
        signatures = _signatures(os.path.join(self._root, directory))
        if not self._children:
            self._pause_s = POLL_SHORTEST_S
            self._due = self._now() + POLL_SHORTEST_S
        self._children[directory] = _doubted(signatures)
        return [(name, stat.S_ISDIR(new[4])) for name, new in signatures.items()]

    def remove(self, directory: str) -> None:
        self._children.pop(directory, None)

    def doubt(self, path: str) -> None:
        """Take `path` for new when it is seen next, though it may look as it did."""
        self._children.get(parent_of(path), {}).pop(name_of(path), None)

    def ask(self, question: str) -> None:
        """Have `question` answered by the first whole pass that begins after this call."""
        self._asked.append(question)

    def deadline(self) -> float | None:
        """Return when `step` has something to do, or None if there is nothing to poll."""
        if self._passing or self._asked:
            return self._now()
        return self._due if self._children else None

    def step(self) -> Looked:
        """Do a slice of the work if it is due."""
        looked = Looked()
        began = self._now()
        deadline = self.deadline()
        if deadline is None or began < deadline:
            return looked
        if not self._passing:
            self._begin()
        self._work(looked)
        self._spent_s += self._now() - began
        self._changed = self._changed or bool(looked.paths)
        if not self._pending:
            self._end(looked)
        return looked

    def look(self, directory: str, looked: Looked) -> int:
        """Compare one polled directory with what it held; return how many entries it has."""
        before = self._children[directory]
        try:
            after = _signatures(os.path.join(self._root, directory))
        except OSError:
            after = {}
            looked.paths.add(directory)
            looked.departed.add(directory)
        self._children[directory] = _doubted(after)
        for name in _changed_names(before, after):
            path = join(directory, name)
            looked.paths.add(path)
            if before.get(name) is not _UNSURE:
                looked.active.add(directory)
            if _is_directory(before, name):
                looked.departed.add(path)
            if _is_directory(after, name):
                looked.arrived.add(path)
        return len(after)

    def _begin(self) -> None:
        self._passing = True
        self._pending.extend(self._children)
        while self._asked:
            self._answering.append(self._asked.popleft())
        self._changed = False
        self._spent_s = 0.0

    def _work(self, looked: Looked) -> None:
        left = POLL_SLICE
        while self._pending and left > 0:
            directory = self._pending.popleft()
            if directory in self._children:
                left -= 1 + self.look(directory, looked)

    def _end(self, looked: Looked) -> None:
        self._passing = False
        self.passes += 1
        looked.answered, self._answering = self._answering, []
        longer = min(self._pause_s * POLL_GROWTH, POLL_LONGEST_S)
        self._pause_s = POLL_SHORTEST_S if self._changed else longer
        self._due = self._now() + max(self._pause_s, self._spent_s / POLL_SHARE)


def _signatures(directory: str) -> dict[str, Signature]:
    signatures: dict[str, Signature] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                signatures[entry.name] = _signature_of(entry)
    return signatures


def _signature_of(entry: os.DirEntry[str]) -> Signature:
    try:
        return _signature(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        raise
    except OSError:  # Of a mount that does not answer, say: it is there.
        return (0, 0, 0, 0, 0)


def _signature(status: os.stat_result) -> Signature:
    if stat.S_ISDIR(status.st_mode):  # What happens inside it is seen inside it.
        return (0, 0, 0, status.st_ino, status.st_mode)
    return (
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
        status.st_ino,
        status.st_mode,
    )


def _doubted(signatures: dict[str, Signature]) -> dict[str, Signature]:
    """Replace the signatures that could stay the same over one more change."""
    wall = time.time_ns()
    return {
        name: _UNSURE if abs(wall - signature[1]) < RACY_NS else signature
        for name, signature in signatures.items()
    }


def _changed_names(before: dict[str, Signature], after: dict[str, Signature]) -> Iterator[str]:
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            yield name


def _is_directory(signatures: dict[str, Signature], name: str) -> bool:
    signature = signatures.get(name)
    return signature is not None and stat.S_ISDIR(signature[4])
